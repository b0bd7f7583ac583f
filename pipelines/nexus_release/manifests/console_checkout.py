"""The checkout that a gateway's console reads: git-sync beside it, which writes, and a folder of both.

Open: a repository that does not answer leaves the last checkout where it is, or none, which the console tells; no
request waits for it. A container that cannot start keeps its pod from being ready, as any other does.
"""

from __future__ import annotations

from nexus_release.console_settings import ConsoleCheckout
from nexus_release.manifests.objects import Object
from nexus_release.manifests.restricted import container, from_secret, http_probe, port, scratch, secret_variable

FOLDER = "/srv/nexus"
_LINK = "checkout"  # to the newest commit's files, beside which git-sync keeps what it needs
_PASSWORD = "/etc/nexus/git"  # noqa: S105 - a folder
_PORT, _PORT_NAME = 8001, "git-sync"
_ALIVE = "/metrics"  # answered whenever it runs; what `/` says hangs on the repository, which no gateway waits for
_VOLUME, _SECRET, _TMP = "checkout", "git", "git-tmp"


def variables(checkout: ConsoleCheckout | None) -> dict[str, str]:
    """Of the gateway."""
    if checkout is None:
        return {}
    return {
        "GATEWAY_CONSOLE_CHECKOUT": f"{FOLDER}/{_LINK}",
        "GATEWAY_CONSOLE_ENVIRONMENT": checkout.environment,
    }


def mounts(checkout: ConsoleCheckout | None) -> dict[str, str]:
    """Of the gateway: to read."""
    return {_VOLUME: FOLDER} if checkout else {}


def volumes(checkout: ConsoleCheckout | None) -> list[Object]:
    if checkout is None:
        return []
    secret = [from_secret(_SECRET, checkout.secret)] if checkout.secret else []
    return [scratch(_VOLUME, checkout.storage), *secret, scratch(_TMP, "64Mi")]


def beside(checkout: ConsoleCheckout | None) -> list[Object]:
    """The container."""
    if checkout is None:
        return []
    mounted = {_VOLUME: f"{FOLDER}!", _TMP: "/tmp!"}  # noqa: S108 - a path in the container, on a volume of its own
    if checkout.secret:
        mounted[_SECRET] = _PASSWORD
    own = container(
        "git-sync",
        checkout.image,
        checkout.resources,
        mounted,
        env=_told(checkout),
        ports=[port(_PORT_NAME, _PORT)],
        readinessProbe=http_probe(_ALIVE, _PORT_NAME, every=10, failures=3),
        livenessProbe=http_probe(_ALIVE, _PORT_NAME, every=10, failures=6, timeout=5),
    )
    return [own]


def _told(checkout: ConsoleCheckout) -> list[Object]:
    told = {
        "GITSYNC_DEPTH": "1",
        "GITSYNC_HTTP_BIND": f":{_PORT}",
        "GITSYNC_HTTP_METRICS": "true",
        "GITSYNC_LINK": _LINK,
        "GITSYNC_MAX_FAILURES": "-1",
        "GITSYNC_PERIOD": f"{checkout.every_seconds}s",
        "GITSYNC_REF": checkout.branch,
        "GITSYNC_REPO": checkout.repository,
        "GITSYNC_ROOT": FOLDER,
        "GITSYNC_SUBMODULES": "off",
        "HOME": "/tmp",  # noqa: S108 - where git writes its settings
    }
    named: list[Object] = [{"name": name, "value": value} for name, value in told.items()]
    if checkout.secret:
        named.append({"name": "GITSYNC_PASSWORD_FILE", "value": f"{_PASSWORD}/password"})
        named.append(secret_variable("GITSYNC_USERNAME", checkout.secret, "username"))
    return sorted(named, key=lambda one: str(one["name"]))
