"""Every rule of an environment."""

from __future__ import annotations

from collections.abc import Callable

from nexus_release.config import Settings
from nexus_release.watching.canary_alerts import canary_group
from nexus_release.watching.cost_alerts import cost_group
from nexus_release.watching.engine_alerts import engine_group
from nexus_release.watching.gateway_alerts import gateway_group
from nexus_release.watching.log_alerts import log_group
from nexus_release.watching.rules import Group, Place
from nexus_release.watching.slo_alerts import slo_group
from nexus_release.watching.watchdog import watchdog_group

_MADE: dict[str, Callable[[Place, Settings], Group]] = {
    "gateway": gateway_group,
    "slo": slo_group,
    "canary": canary_group,
    "engines": engine_group,
    "costs": cost_group,
    "logs": log_group,
    "watchdog": watchdog_group,
}
NAMES = tuple(_MADE)


def place_of(environment: str, settings: Settings) -> Place:
    return Place(environment, settings.namespace, settings.alerting.runbook)


def groups(environment: str, settings: Settings) -> dict[str, Group]:
    """By name. The first records what the others name."""
    place = place_of(environment, settings)
    return {name: made(place, settings) for name, made in _MADE.items()}
