"""A dashboard as Grafana's own types write it: `grafana-foundation-sdk`, of the version that pyproject.toml names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from nexus_release.dashboards.board import Board, Link, Panel, Query, Scope, Variable

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import dashboard as build
    from grafana_foundation_sdk.builders import timeseries
    from grafana_foundation_sdk.builders.prometheus import Dataquery
    from grafana_foundation_sdk.models.dashboard import DataSourceRef, GridPos

DATASOURCE = "prometheus"
"""UID of Grafana's datasource, fixed, so that a dashboard needs no clicks."""
TAG = "nexus"
_ENVIRONMENT = Variable("environment", "Environment", "label_values(gateway_requests_total, namespace)")
_WIDTH, _HEIGHT, _IN_A_ROW = 8, 8, 3
_MOST_OF_A_UID = 40  # Grafana's own bound


@cache
def document(board: Board, scope: Scope) -> str:
    """The dashboard's JSON: sorted, indented, one final newline. Imports the SDK, which takes 50 ms."""
    from grafana_foundation_sdk.builders.dashboard import Dashboard
    from grafana_foundation_sdk.cog.encoder import JSONEncoder

    uid, title = board.name, board.title
    if scope.namespace is not None:
        uid, title = f"{uid}-{scope.namespace}"[:_MOST_OF_A_UID], f"{title} ({scope.namespace})"
    made = Dashboard(title).uid(uid).tags([TAG]).readonly().refresh("30s").time("now-1h", "now").timezone("browser")
    for variable in _variables(board, scope):
        made.with_variable(variable)
    for link in _links(board.links):
        made.link(link)
    for number, panel in enumerate(board.panels):
        made.with_panel(_panel(number, panel))
    return json.dumps(made.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _variables(board: Board, scope: Scope) -> Iterator[build.ConstantVariable | build.QueryVariable]:
    from grafana_foundation_sdk.builders.dashboard import ConstantVariable

    if scope.namespace is None:
        yield _asked(_ENVIRONMENT)
    else:
        yield ConstantVariable(_ENVIRONMENT.name).value(scope.namespace)
    if any("${kibana}" in link.url for link in board.every_link):
        yield ConstantVariable("kibana").value(scope.kibana)
    yield from (_asked(variable) for variable in board.variables)


def _asked(variable: Variable) -> build.QueryVariable:
    """All values are chosen at first. No `allValue`: a link to the logs must name them."""
    from grafana_foundation_sdk.builders.dashboard import QueryVariable
    from grafana_foundation_sdk.models.dashboard import VariableOption, VariableRefresh, VariableSort

    return (
        QueryVariable(variable.name)
        .label(variable.label)
        .datasource(_source())
        .query(variable.values)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .current(VariableOption(text="All", value="$__all"))
    )


def _links(outside: Iterable[Link]) -> Iterator[build.DashboardLink]:
    """To the other dashboards, for the same time and values, and to what is outside Grafana, in a tab of its own."""
    from grafana_foundation_sdk.builders.dashboard import DashboardLink
    from grafana_foundation_sdk.models.dashboard import DashboardLinkType

    others = DashboardLink("Nexus").type(DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(True)
    yield others.include_vars(True).keep_time(True)
    yield from (_link(link) for link in outside)


def _link(link: Link) -> build.DashboardLink:
    from grafana_foundation_sdk.builders.dashboard import DashboardLink

    return DashboardLink(link.title).url(link.url).target_blank(True)


def _panel(number: int, panel: Panel) -> timeseries.Panel:
    """Three stand in a row, by their number from 0."""
    from grafana_foundation_sdk.builders import timeseries

    made = (
        timeseries.Panel()
        .id(number + 1)
        .title(panel.title)
        .description(panel.meaning)
        .datasource(_source())
        .unit(panel.unit)
        .fill_opacity(10)
        .grid_pos(_place(number))
        .data_links([_link(link) for link in panel.links])
    )
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        made.with_target(_target(letter, query))
    return made


def _target(letter: str, query: Query) -> Dataquery:
    from grafana_foundation_sdk.builders.prometheus import Dataquery

    return Dataquery().ref_id(letter).datasource(_source()).expr(query.expression).legend_format(query.legend)


def _place(number: int) -> GridPos:
    from grafana_foundation_sdk.models.dashboard import GridPos

    return GridPos(_HEIGHT, _WIDTH, _WIDTH * (number % _IN_A_ROW), _HEIGHT * (number // _IN_A_ROW))


def _source() -> DataSourceRef:
    from grafana_foundation_sdk.models.dashboard import DataSourceRef

    return DataSourceRef(type_val="prometheus", uid=DATASOURCE)
