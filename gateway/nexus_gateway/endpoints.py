"""What this process knows of each endpoint: calls under way, whether it asked for rest, whether it is well.

Choosing is filter, score, pick; a new policy of choice is one function like `least_loaded`. Times are seconds of any
clock that does not go back.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nexus_gateway import breaker

LONGEST_REST = 3600.0
"""Seconds for which an endpoint's own `retry-after` is believed."""


@dataclass(slots=True)
class State:
    in_flight: int = 0
    rests_until: float = 0.0
    """It said `retry-after`: it is asked last until then."""
    well: bool = True
    """By its active health check; without one it is well."""


class Endpoints:
    def __init__(self) -> None:
        self._states: dict[str, State] = {}

    def __contains__(self, endpoint: str) -> bool:
        """Whether anybody has thought of asking it yet."""
        return endpoint in self._states

    def of(self, endpoint: str) -> State:
        state = self._states.get(endpoint)
        if state is None:  # no `setdefault`: of 64 endpoints it makes 64 states that nobody wants
            state = self._states[endpoint] = State()
        return state

    def begun(self, endpoint: str) -> None:
        self.of(endpoint).in_flight += 1

    def ended(self, endpoint: str) -> None:
        self.of(endpoint).in_flight -= 1

    def rests(self, endpoint: str, seconds: float, now: float) -> None:
        self.of(endpoint).rests_until = now + min(seconds, LONGEST_REST)

    def keep(self, endpoints: Collection[str]) -> None:
        """Forgets what no configuration names any more and nobody is using."""
        gone = [name for name, state in self._states.items() if name not in endpoints and not state.in_flight]
        for name in gone:
            del self._states[name]


class Seen(NamedTuple):
    """An endpoint as it is at the moment of a choice."""

    id: str
    circuit: breaker.State
    admits: bool
    """False where its circuit lets nobody through now."""
    well: bool
    resting: bool
    in_flight: int
    chosen: bool = False
    """By the strategy of its upstream, where that has one of its own."""


def choose(seen: Sequence[Seen]) -> str | None:
    """None where none is left, or all have an open circuit. Open: where no endpoint is well all are taken for well,
    since a check that fails everywhere says more of the check."""
    left = [one for one in seen if one.admits]
    well = [one for one in left if one.well]
    return least_loaded(well or left)


def least_loaded(seen: Sequence[Seen]) -> str | None:
    """Those that rest last, then the one that is chosen, then the fewest calls under way; among equals the first in
    turn."""
    if not seen:
        return None
    return min(seen, key=lambda one: (one.resting, not one.chosen, one.in_flight)).id
