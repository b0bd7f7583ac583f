"""Every dashboard there is."""

from __future__ import annotations

from collections.abc import Callable

from nexus_release.config import Settings
from nexus_release.dashboards.board import Board, Scope
from nexus_release.dashboards.costs import costs_board
from nexus_release.dashboards.engines import engines_board
from nexus_release.dashboards.gateway import gateway_board
from nexus_release.dashboards.objectives import objectives_board
from nexus_release.dashboards.releases import canaries_board, releases_board
from nexus_release.dashboards.tokens import tokens_board

BOARDS: dict[str, Callable[[Scope], Board]] = {
    "nexus-gateway": gateway_board,
    "nexus-tokens": tokens_board,
    "nexus-releases": releases_board,
    "nexus-canaries": canaries_board,
    "nexus-objectives": objectives_board,
    "nexus-costs": costs_board,
    "nexus-engines": engines_board,
}
"""By the board's name."""


def scope_of(environment: str, settings: Settings) -> Scope:
    """Of one environment's own dashboards."""
    own = settings.dashboards
    return Scope(environment, settings.namespace, settings.prices.currency, own.history, own.kibana)


def scope_of_all(settings: Settings) -> Scope:
    """Of dashboards in which people choose the environment."""
    own = settings.dashboards
    return Scope(None, None, settings.prices.currency, own.history, own.kibana)
