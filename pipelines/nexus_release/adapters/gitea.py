"""Gitea's pull requests, and Forgejo's, by plain HTTP: four calls of a stable API.

Of its client libraries none is kept by more than one person, and none says what it does when it is told to wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from nexus_release.adapters.forge_calls import TIMEOUT, Calls, put, refused, silent, within_bounds
from nexus_release.errors import NexusError
from nexus_release.ports import Opened

_NAME = "Gitea"
_PAGE = 50  # the most that a server gives by its defaults; a server may be told to give fewer
_PAGES = 40  # beyond so many open ones none is looked for


class Gitea:
    """The port `Forge`. `url` is the server's, without `/api/v1`; `repository` is `owner/name`."""

    def __init__(self, url: str, repository: str, token: str) -> None:
        self._url, self._pulls = url, f"/api/v1/repos/{quote(repository)}/pulls"
        self._headers = {"authorization": f"token {token}"}

    def propose(self, branch: str, title: str, text: str) -> Opened:
        asked = {"title": title, "body": text}
        return put(
            Calls[dict[str, Any]](
                find=lambda: self._open(branch),
                open=lambda: self._ask("POST", self._pulls, {**asked, "head": branch, "base": "main"}),
                same=lambda pull: (pull["title"], pull["body"]) == (title, text),
                update=lambda pull: self._ask("PATCH", f"{self._pulls}/{pull['number']}", asked),
                told=lambda pull: (pull["number"], pull["html_url"]),
            )
        )

    def approvals(self, branch: str, commit: str) -> frozenset[str] | None:
        pull = self._open(branch)
        if pull is None or pull["head"]["sha"] != commit:
            return None
        reviews = self._listed(f"{self._pulls}/{pull['number']}/reviews?")
        judged = {one["user"]["login"]: one for one in reviews if one["state"] in ("APPROVED", "REQUEST_CHANGES")}
        agreed = {
            who
            for who, one in judged.items()
            if one["state"] == "APPROVED"
            and one["official"]  # by somebody whom the branch's protection counts
            and not (one.get("stale") or one.get("dismissed"))
        }
        return frozenset(agreed - {pull["user"]["login"]})

    def _open(self, branch: str) -> dict[str, Any] | None:
        for pull in self._listed(f"{self._pulls}?state=open&"):
            head, base = pull["head"], pull["base"]
            own = head["repo_id"] == base["repo_id"]  # and no branch of that name in somebody's copy
            if own and (head["ref"], base["ref"]) == (branch, "main"):
                return pull
        return None

    def _listed(self, path: str) -> Iterator[dict[str, Any]]:
        for page in range(1, _PAGES + 1):
            found = self._ask("GET", f"{path}limit={_PAGE}&page={page}")
            yield from found
            if not found:  # a shorter one may be all that this server gives at once
                return

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:
        import httpx

        def ask() -> Any:
            answer = httpx.request(method, self._url + path, json=body, headers=self._headers, timeout=TIMEOUT)
            answer.raise_for_status()
            return answer.json()

        def why(error: Exception) -> NexusError:
            if not isinstance(error, httpx.HTTPStatusError):
                return silent(_NAME, error)
            return refused(_NAME, error.response.status_code, error.response.text)

        return within_bounds(ask, (httpx.HTTPError, ValueError), why)
