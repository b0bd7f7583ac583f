"""Picks whom to ask about an environment: its gateway, whoever applies it, the registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus_release.convergence.gateways import place_of, read_gateways
from nexus_release.convergence.seen import Applied
from nexus_release.errors import Missing
from nexus_release.local.applied import LaptopApplied
from nexus_release.local.control import running
from nexus_release.local.desired import ENVIRONMENT
from nexus_release.local.gateway import KEY
from nexus_release.local.paths import Paths, state_folder
from nexus_release.ports import Health, Registry
from nexus_release.wiring import Connections, Tools, argocd_at, health_at


@dataclass(frozen=True)
class Places:
    """Whom to ask about one environment; None where nobody has been named."""

    applied: Applied | None
    gateway: Health | None
    registry: Registry | None
    engines: bool
    """Whether engines can be reached from here, and so are asked."""


def here(environ: Mapping[str, str]) -> Connections:
    """As the process environment says, and where `nexus up` runs on this machine, with its registry and remote."""
    home = state_folder(environ)
    connections = Connections.from_environment(environ, state=home)
    if state := running(home):
        return connections.model_copy(update={"registry": state.registry, "remote": state.remote})
    return connections


def open_places(
    environ: Mapping[str, str], tools: Tools, environment: str, gateways: Path | None, *, alone: bool, engines: bool
) -> Places:
    """Engines of this machine are asked in any case."""
    up = running(state_folder(environ)) is not None
    try:
        gateway = open_health(environ, environment, gateways=gateways, alone=alone)
    except Missing:
        gateway = None
    return Places(
        applied=open_applied(environ, environment),
        gateway=gateway,
        registry=tools.registry if up or environ.get("MLFLOW_TRACKING_URI") else None,
        engines=engines or (environment == ENVIRONMENT and up),
    )


def open_health(
    environ: Mapping[str, str],
    environment: str,
    resolve: Path | None = None,
    gateways: Path | None = None,
    *,
    alone: bool = True,
) -> Health:
    """Gateway and engines of an environment: as the file `gateways` says, else NEXUS_GATEWAY with NEXUS_GATEWAY_KEY
    where one environment is asked for `alone`, else for `local` this machine's own. `resolve` says where hosts of
    routes are to be found. Raises Missing where none is named."""
    url, key = asked_at(environ, environment, gateways, alone=alone)
    named = place_of(environment, read_gateways(gateways), environ, alone=alone) is not None
    return health_at(url, key, resolve or (None if named else Paths(state_folder(environ)).resolve))


def asked_at(
    environ: Mapping[str, str], environment: str, gateways: Path | None, *, alone: bool = True
) -> tuple[str, str]:
    """(address, key) of an environment's gateway, found as `open_health` does; several addresses have commas between
    them. Raises Missing where none is named."""
    if place := place_of(environment, read_gateways(gateways), environ, alone=alone):
        return place.url, environ.get(place.key, "")
    state = running(state_folder(environ)) if environment == ENVIRONMENT else None
    if state is None:
        raise Missing(
            f"no gateway of {environment} to ask: set NEXUS_GATEWAY and NEXUS_GATEWAY_KEY, give --gateways FILE, or "
            "for local run `nexus up`"
        )
    return state.gateway, KEY


def open_applied(environ: Mapping[str, str], environment: str) -> Applied | None:
    """Argo CD by ARGOCD_SERVER and ARGOCD_AUTH_TOKEN, as its own client has them; for `local` this machine."""
    if environment == ENVIRONMENT:
        return LaptopApplied(state_folder(environ))
    server = environ.get("ARGOCD_SERVER", "")
    return argocd_at(server, environ.get("ARGOCD_AUTH_TOKEN", "")) if server else None
