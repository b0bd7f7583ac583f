"""Nexus Objectives: what is promised, what is left of each error budget, and how fast it goes; of the same recorded
series that the burn-rate alerts ring by."""

from __future__ import annotations

from nexus_release.dashboards.board import ENVIRONMENT, Board, Panel, Query, Scope, Variable
from nexus_release.dashboards.links import ROUTE_LINES, discover, kibana_dashboard
from nexus_release.watching.slo_alerts import BURNS, LEFT, RATIO, REQUESTS

_ROUTE = f'{{{ENVIRONMENT},route=~"$route"}}'
_ROUTES = Variable("route", "Route", f"label_values({LEFT.format('availability')}{{{ENVIRONMENT}}}, route)")
_WORDS = {"availability": "Availability", "first_byte": "First byte"}
_BROKEN = {
    "availability": discover("Log lines of errors", 'route:"${__field.labels.route}" and status>=500'),
    "first_byte": ROUTE_LINES,
}


def objectives_board(scope: Scope) -> Board:
    panels = [panel for word, title in _WORDS.items() for panel in _of(word, title)]
    return Board("nexus-objectives", "Nexus Objectives", tuple(panels), (_ROUTES,), (kibana_dashboard(),))


def _of(word: str, title: str) -> tuple[Panel, Panel, Panel]:
    links = (_BROKEN[word],)
    return (
        Panel(
            f"{title}: budget left",
            "Share of each route's error budget; below 0 the promise is broken.",
            (Query(f"{LEFT.format(word)}{_ROUTE}", "{{route}}"),),
            "percentunit",
            links=links,
        ),
        Panel(
            f"{title}: errors",
            "Share of each route's requests that break the promise, over the windows by which alerts ring.",
            tuple(
                Query(f"{RATIO.format(word, window)}{_ROUTE}", f"{{{{route}}}} {window}")
                for window in dict.fromkeys((BURNS[0].short, *(burn.long for burn in BURNS)))
            ),
            "percentunit",
            links=links,
        ),
        Panel(
            f"{title}: requests",
            "What the promise is about, each second.",
            (Query(f"sum by (route) ({REQUESTS.format(word)}{_ROUTE})", "{{route}}"),),
            "reqps",
            links=links,
        ),
    )
