"""An alert that always rings: where it does not arrive, nothing else would either."""

from __future__ import annotations

from nexus_release.config import Settings
from nexus_release.watching.rules import Alert, Group, Place

WATCHDOG = "NexusWatchdog"


def watchdog_group(place: Place, settings: Settings) -> Group:
    always = Alert(
        WATCHDOG,
        "vector(1)",
        "0m",
        "none",
        "Alerts of {{ $labels.environment }} are looked at and sent on.",
        "It always rings, and whoever hears it no more knows that Prometheus or Alertmanager is silent.",
    )
    return Group("watchdog", "The way of the alerts", (always,))
