"""A release that shares a route with another one and does worse. `nexus canary step` decides by a test; these ring for
who watches a split that no clock steps."""

from __future__ import annotations

from nexus_release.config import Settings
from nexus_release.watching.gateway_alerts import gateway_selector
from nexus_release.watching.revision import blaming
from nexus_release.watching.rules import Alert, Group, Place, Record

DRAWN = "nexus:release_drawn:increase10m"
FAILED = "nexus:release_drawn_failed:increase10m"
_BY = "namespace, route, release"
_LEAST = 50  # requests in ten minutes; fewer tell chance


def canary_group(place: Place, settings: Settings) -> Group:
    """Both count drawn requests, so that what another release has made good is counted where it failed."""
    drawn = f"gateway_drawn_requests_total{{{gateway_selector(place)}"
    return Group(
        "canary",
        "Canaries",
        (
            Record(
                DRAWN,
                f"sum by ({_BY}) (increase({drawn}}}[10m]))",
                "Requests that a split gave each release in 10 minutes.",
            ),
            Record(
                FAILED,
                f'sum by ({_BY}) (increase({drawn},call=~"5..|429|error|uncalled"}}[10m]))',
                "Those of them that it failed, whoever answered in the end.",
            ),
            _errors(place, settings),
            _slow(place),
        ),
    )


def _errors(place: Place, settings: Settings) -> Alert:
    failed, drawn = (f"{name}{{{place.selector}}}" for name in (FAILED, DRAWN))
    rest = "(sum by (namespace, route) ({0}) - on (namespace, route) group_right () {0})"
    least = settings.canary.least_errors
    return Alert(
        "NexusReleaseErrorsAboveOthers",
        blaming(
            f"{failed} / {drawn} > 2 * {rest.format(failed)} / {rest.format(drawn)} + {least} and {drawn} >= {_LEAST}",
            place,
        ),
        "5m",
        "warning",
        "Release {{ $labels.release }} of {{ $labels.route }} fails more often than what shares the route with it.",
        f"Of at least {_LEAST} requests that the split gave a release in the last 10 minutes, the share that it failed "
        f"is more than twice that of the route's other releases and {least:g} above it, and so for 5 minutes.",
        ("route", "release", "revision"),
    )


def _slow(place: Place) -> Alert:
    buckets = f"rate(gateway_drawn_first_byte_seconds_bucket{{{gateway_selector(place)}}}[10m])"
    late = f"histogram_quantile(0.95, sum by ({_BY}, le) ({buckets}))"
    return Alert(
        "NexusReleaseSlowerThanOthers",
        blaming(
            f"{late} > on (namespace, route) group_left () 1.5 * min by (namespace, route) ({late})"
            f" and {DRAWN}{{{place.selector}}} >= {_LEAST}",
            place,
        ),
        "10m",
        "warning",
        "Release {{ $labels.release }} of {{ $labels.route }} is slower than what shares the route with it.",
        f"Of a release that the split gave at least {_LEAST} requests in the last 10 minutes, the first byte of one "
        "answer in twenty takes more than one and a half times as long as that of the route's quickest release, and so "
        "for 10 minutes.",
        ("route", "release", "revision"),
    )
