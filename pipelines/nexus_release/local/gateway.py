"""The gateway as a process on this machine, and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_release.local.desired import ENVIRONMENT
from nexus_release.local.engines import beside_python
from nexus_release.local.paths import Paths
from nexus_release.local.probes import get_json
from nexus_release.local.processes import Program

PORT = 8000
KEY = "dev-key"  # the laptop's: the gateway takes it on loopback only, with admin scope


@dataclass(frozen=True)
class Served:
    """What `/admin/config` says: the revision that answers, and the one that was refused last, with the reason."""

    revision: str
    refused: str
    reason: str


def gateway_program(paths: Paths, port: int) -> Program:
    return Program(
        "gateway",
        (
            *(beside_python("nexus-gateway"), "serve", "--host", "127.0.0.1", "--port", str(port)),
            *("--routes", str(paths.routes), "--resolve", str(paths.resolve), "--state", str(paths.gateway)),
            *("--decisions", str(paths.decisions)),
        ),
        {"GATEWAY_CONSOLE_CHECKOUT": str(paths.shown), "GATEWAY_CONSOLE_ENVIRONMENT": ENVIRONMENT},
    )


def served(gateway: str) -> Served | None:
    """None while the gateway does not answer."""
    said = get_json(f"{gateway}/admin/config", {"Authorization": f"Bearer {KEY}"})
    if not isinstance(said, dict):
        return None
    refusal = said.get("refusal") or {}
    return Served(said.get("revision") or "", refusal.get("revision", ""), refusal.get("reason", ""))
