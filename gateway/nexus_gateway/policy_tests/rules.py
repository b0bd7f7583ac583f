"""Every rule of a table by a name of its own, and which of them tests have looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nexus_gateway.candidates import Candidate
from nexus_gateway.policy_tests.reach import Reached
from nexus_gateway.routes import Table
from nexus_gateway.routes_file import PolicyFile
from nexus_gateway.routing import Match, Route

DECIDING = tuple(name for name in PolicyFile.model_fields if name != "telemetry")
"""Of a policy: `telemetry` says which requests are logged, and nothing of what a caller may do."""


class Rules:
    def __init__(self, table: Table) -> None:
        self._table = table
        self.all = (*dict.fromkeys(_names(table)),)
        self._seen: set[str] = set()

    @property
    def unseen(self) -> tuple[str, ...]:
        return tuple(name for name in self.all if name not in self._seen)

    @property
    def percent(self) -> float:
        """Of the rules that were looked at; all of none."""
        return 100.0 * (1 - len(self.unseen) / len(self.all)) if self.all else 100.0

    def policy(self, place: tuple[str, str], *fields: str) -> None:
        """`place` as `place_of` gives it."""
        top = ".".join(place)
        self._seen |= {top, *(f"{top}.{name}" for name in fields)}

    def target(self, route: Route, upstream: str) -> None:
        self._seen |= {_route(route), f"{_route(route)}.targets.{upstream}"}

    def shadow(self, route: Route) -> None:
        self._seen |= {_route(route), f"{_route(route)}.shadow"}

    def reached(self, one: Reached) -> None:
        if one.copy:
            self.shadow(one.asked)
            return
        self._along(one.asked, one.route)
        if one.rule is not None:
            self._seen.add(_match(one.route, one.rule))
        else:
            self.target(one.route, one.upstream.name)

    def answered(self, asked: Route, found: Candidate, holds: Callable[[Match], bool]) -> None:
        self._along(asked, found.route)
        rule = next(filter(holds, found.route.matches), None)
        if rule is not None:
            self._seen |= {_route(found.route), _match(found.route, rule)}
        else:
            self.target(found.route, found.upstream.name)

    def _along(self, asked: Route, found: Route) -> None:
        """The fallbacks that lead from one to the other."""
        self._seen |= {_route(asked), _route(found)}
        for parent, name in _path(self._table, asked, found.name):
            self._seen.add(f"{_route(parent)}.fallbacks.{name}")


def _names(table: Table) -> Iterator[str]:
    for route in (*table.routes.values(), *([table.default] if table.default else [])):
        top = _route(route)
        yield top
        if len(route.targets) > 1:
            yield from (f"{top}.targets.{target.upstream}" for target in route.targets)
        yield from (_match(route, rule) for rule in route.matches)
        yield from (f"{top}.fallbacks.{name}" for name in route.fallbacks)
        if route.shadow is not None:
            yield f"{top}.shadow"
    for section, policies in (("policies", table.policies), ("subjects", table.subjects)):
        for name, policy in policies.items():
            said = [f"{section}.{name}.{field}" for field in DECIDING if field in policy.model_fields_set]
            yield from said or [f"{section}.{name}"]


def _route(route: Route) -> str:
    return f"routes.{route.name}"


def _match(route: Route, rule: Match) -> str:
    return f"{_route(route)}.match.{rule.header.decode()}={rule.value.decode()}"


def _path(table: Table, start: Route, goal: str) -> list[tuple[Route, str]]:
    """(route, its fallback) for each step from `start` to `goal`; there is no way back in fallbacks."""
    for name in start.fallbacks:
        step = (start, name)
        if name == goal:
            return [step]
        if further := _path(table, table.routes[name], goal):
            return [step, *further]
    return []
