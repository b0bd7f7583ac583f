"""Which forge a remote is on: by NEXUS_FORGE, or by the remote's own address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, get_args
from urllib.parse import urlsplit

from nexus_release.errors import BadInput, MissingExtra
from nexus_release.frozen import Frozen
from nexus_release.ports import Forge

ForgeKind = Literal["github", "gitlab", "gitea"]
_KINDS: tuple[ForgeKind, ...] = get_args(ForgeKind)
_HOSTS: Mapping[str, ForgeKind] = {"github.com": "github", "gitlab.com": "gitlab", "codeberg.org": "gitea"}
_SCP = re.compile(r"(?:[^@/]+@)?(?P<host>[^:/]+):(?P<path>[^:].*)")  # git@host:owner/name.git
_PATH = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)+")


class ForgePlace(Frozen):
    """A repository on a forge."""

    kind: ForgeKind
    url: str
    """Where its API is asked: GitHub's own, else the server's root."""
    repository: str
    """`owner/name`; on GitLab with every group before it."""


def forge_place(remote: str, chosen: str, url: str) -> ForgePlace | None:
    """None for a plain remote: the branch is left, and people open what they like.

    `chosen`: NEXUS_FORGE, empty where the remote's host decides. `url`: NEXUS_FORGE_URL, empty for the remote's host.
    Raises BadInput.
    """
    if chosen == "none":
        return None
    if chosen and chosen not in _KINDS:
        raise BadInput("NEXUS_FORGE", chosen, f"one of {', '.join(_KINDS)}, none")
    host, path = _place(remote)
    kind = next((known for known in _KINDS if known == chosen), None) or _by_host(host.partition(":")[0])
    if kind is None:
        return None
    repository = path.strip("/").removesuffix(".git")
    if not _PATH.fullmatch(repository):
        raise BadInput("NEXUS_REMOTE", repository, f"on {kind} a repository is owner/name; or say NEXUS_FORGE=none")
    return ForgePlace(kind=kind, url=(url or _api(kind, host)).rstrip("/"), repository=repository)


def _place(remote: str) -> tuple[str, str]:
    """(host, path); no host for a folder. The port of https is the API's too; one of ssh is ssh's own."""
    if "://" in remote:
        parts = urlsplit(remote)
        port = f":{parts.port}" if parts.scheme == "https" and parts.port else ""
        return f"{parts.hostname or ''}{port}", parts.path
    found = _SCP.fullmatch(remote)
    return (found["host"], found["path"]) if found else ("", remote)


def _by_host(host: str) -> ForgeKind | None:
    named = next((kind for kind in _KINDS if host.startswith(f"{kind}.") and host != f"{kind}.io"), None)
    return _HOSTS.get(host) or named


def _api(kind: ForgeKind, host: str) -> str:
    if kind != "github":
        return f"https://{host}"
    return "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3"


def open_forge(remote: str, chosen: str, url: str, token: str) -> Forge | None:
    """None for a plain remote, or where nobody has given a token. Raises BadInput or MissingExtra."""
    place = forge_place(remote, chosen, url)
    if place is None or not (token or chosen):
        return None
    if not token:
        raise BadInput("NEXUS_FORGE_TOKEN", "", f"give a token of {place.url} that may open pull requests")
    try:
        return _adapter(place, token)
    except ModuleNotFoundError:
        raise MissingExtra("forges", f"a pull request on {place.kind}") from None


def _adapter(place: ForgePlace, token: str) -> Forge:
    if place.kind == "github":
        from nexus_release.adapters.github import GitHub

        return GitHub(place.url, place.repository, token)
    if place.kind == "gitlab":
        from nexus_release.adapters.gitlab import GitLab

        return GitLab(place.url, place.repository, token)
    from nexus_release.adapters.gitea import Gitea

    return Gitea(place.url, place.repository, token)
