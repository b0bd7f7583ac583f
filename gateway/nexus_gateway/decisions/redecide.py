"""A recorded decision made again, by the gateway's own function and what was known then."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from nexus_gateway.candidates import Candidate, Wanted, candidates
from nexus_gateway.decisions.decision_schema import AskedThen, Decision, EndpointSeen
from nexus_gateway.endpoints import Seen
from nexus_gateway.routes import Table, Upstream
from nexus_gateway.routing import Match, Route
from nexus_gateway.surfaces import SURFACES

_ANSWERED = AskedThen(route="", endpoint="", outcome="answered", went_on=False)


class Unknown(Exception):
    """What these routes would want to know was not known then; why."""


@dataclass(frozen=True)
class Asked:
    route: str
    upstream: str
    endpoint: str


@dataclass(frozen=True)
class Outcome:
    route: str | None
    """The one of the model; None where there is none."""
    asked: tuple[Asked, ...] = ()
    left_out: tuple[str, ...] = ()
    looked: tuple[str, ...] = ()
    """Upstreams whose endpoints were looked at, in that order."""

    @property
    def story(self) -> str:
        """Who was asked, one after the other."""
        if self.route is None:
            return "no route"
        return " > ".join(one.upstream for one in self.asked) or "nobody"


def recorded(line: Decision) -> Outcome:
    asked = tuple(Asked(one.asked.route, one.upstream, one.asked.endpoint) for one in line.choices if one.asked)
    return Outcome(line.route, asked, line.left_out, tuple(one.upstream for one in line.choices))


def decided_again(line: Decision, table: Table) -> Outcome:
    """Raises Unknown."""
    if not line.allowed:
        return Outcome(None)
    route = table.route(line.model)
    if route is None or line.tries is None:
        return Outcome(None if route is None else route.name)
    if (surface := SURFACES.get(line.path)) is None:
        raise Unknown(f"{line.path} is no API of this gateway")
    then, asked = _Then(line), list[Asked]()
    wanted = Wanted(route, surface, then.place, then.holds, then.allowed, line.holder or "")
    for candidate in candidates(table, wanted, then.look):
        asked.append(Asked(candidate.route.name, candidate.upstream.name, candidate.endpoint.id))
        if not then.outcome(candidate).went_on:
            break
    return Outcome(route.name, tuple(asked), tuple(then.left_out), tuple(then.looked))


class _Then:
    """What was known at the time. Of endpoints that were not looked at then, it is taken that they are idle and well,
    and that they answer."""

    def __init__(self, line: Decision) -> None:
        self._places = {(one.route, one.salt): one.bucket for one in line.splits}
        self._rules = {(one.header, one.value): one.held for one in line.rules}
        self._left_out = frozenset(line.left_out)
        self._looks: dict[str, deque[Sequence[EndpointSeen]]] = defaultdict(deque)
        self._last: dict[str, EndpointSeen] = {}
        self._outcomes: dict[str, deque[AskedThen]] = defaultdict(deque)
        self.looked: list[str] = []
        self.left_out: list[str] = []
        for choice in line.choices:
            self._looks[choice.upstream].append(choice.endpoints)
            self._last |= {one.endpoint: one for one in choice.endpoints}
            if choice.asked is not None:
                self._outcomes[choice.asked.endpoint].append(choice.asked)

    def place(self, route: Route) -> int:
        found = self._places.get((route.name, route.salt))
        if found is None:
            raise Unknown(f"a place in the split of {route.name} is drawn anew")
        return found

    def holds(self, rule: Match) -> bool:
        """A header that had the value of one rule has not that of another."""
        header, value = rule.header.decode(), rule.value.decode()
        if (header, value) in self._rules:
            return self._rules[header, value]
        if any(held for (name, _), held in self._rules.items() if name == header):
            return False
        raise Unknown(f"the rule for {header} is new")

    def allowed(self, model: str) -> bool:
        if model in self._left_out:
            self.left_out.append(model)
        return model not in self._left_out

    def look(self, upstream: Upstream, tried: Collection[str]) -> list[Seen]:
        """The looks at an upstream come again in the order in which they were made."""
        self.looked.append(upstream.name)
        looks = self._looks[upstream.name]
        now = {one.endpoint: one for one in looks.popleft()} if looks else {}
        names = [endpoint.id for endpoint in upstream.endpoints if endpoint.id not in tried]
        return [_seen(name, now.get(name) or self._last.get(name)) for name in names]

    def outcome(self, candidate: Candidate) -> AskedThen:
        outcomes = self._outcomes[candidate.endpoint.id]
        return outcomes.popleft() if outcomes else _ANSWERED


def _seen(name: str, then: EndpointSeen | None) -> Seen:
    if then is None:
        return Seen(name, "closed", admits=True, well=True, resting=False, in_flight=0)
    return Seen(name, then.circuit, then.admits, then.well, then.resting, then.in_flight, then.chosen)
