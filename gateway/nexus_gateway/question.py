"""A request that nobody has sent, and what would be decided about it: by the functions that decide about real ones, in
their order, and without asking an engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from nexus_gateway.asked import Asked, read
from nexus_gateway.breaker import State
from nexus_gateway.candidates import Wanted, spoken
from nexus_gateway.endpoints import Seen
from nexus_gateway.errors import API_NOT_SERVED, Refusal
from nexus_gateway.exchange import RequestHead
from nexus_gateway.keys import Key
from nexus_gateway.limits.estimate import estimate, hold_to_whole
from nexus_gateway.policy import Caller, caller_of, hold_to, route_for
from nexus_gateway.request import session_key
from nexus_gateway.routes import Table, Upstream
from nexus_gateway.routing import Match, Route, bucket
from nexus_gateway.surfaces import SURFACES, Surface

_JSON = (b"content-type", b"application/json")
ANYBODY = Key("(anybody)", None, admin=False)
"""A key that no policy can name: nothing is kept from it."""
BY_API: Mapping[str, Surface] = {surface.api: surface for surface in reversed(SURFACES.values())}
"""Of several paths of an API the one that asks for answers."""


@dataclass(frozen=True)
class Question:
    key: Key
    surface: Surface
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    size: int = 0
    """Bytes that the body is taken for, where that is more than it has."""

    @cached_property
    def head(self) -> RequestHead:
        given = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
        return RequestHead("POST", self.surface.path, [_JSON, *given], "")

    def holds(self, rule: Match) -> bool:
        return self.head.first(rule.header) == rule.value


@dataclass(frozen=True)
class Decided:
    caller: Caller
    asked: Asked
    route: Route | None = None
    """None where there is none for this caller."""
    tokens: int = 0
    """That are kept free for it."""
    session: str = ""
    """What its place in every split is made from; empty where it is drawn anew each time."""
    wanted: Wanted | None = None
    """None where no engine would be looked for."""
    refusal: Refusal | None = None


def body_of(model: str, fields: Mapping[str, Any]) -> bytes:
    return json.dumps({"model": model, **fields}).encode()


def decide(question: Question, table: Table, place: Callable[[Route], int] | None = None) -> Decided:
    """`place`: the bucket in each split, instead of what the session gives. Raises Refusal for a body that is none."""
    surface, asked = question.surface, read(question.head, question.body)
    caller = caller_of(question.key, table)
    session = session_key(caller, question.head, asked, surface)
    decided = Decided(caller, asked, session=session)
    try:
        route = route_for(caller, asked.model, table)
        body = hold_to(caller.policy, surface, asked, question.body)
        tokens = estimate(asked, surface, caller.policy, max(len(body), question.size))
        decided = Decided(caller, asked, route, tokens, session)
        hold_to_whole(tokens, caller.limits)
        place = place or (lambda one: bucket(one, session))
        wanted = Wanted(route, surface, place, question.holds, caller.may_use)
        if not spoken(table, wanted):
            raise Refusal(API_NOT_SERVED, f"no engine of {asked.model} speaks {surface.path}")
    except Refusal as refusal:
        return Decided(caller, asked, decided.route, decided.tokens, session, refusal=refusal)
    return Decided(caller, asked, route, tokens, session, wanted)


def well_but(open_circuits: Collection[str]) -> Callable[[Upstream, Collection[str]], list[Seen]]:
    """Endpoints that are idle and well, but those of the upstreams whose names fit: their circuits are open."""

    def look(upstream: Upstream, tried: Collection[str]) -> list[Seen]:
        away = any(fnmatchcase(upstream.name, pattern) for pattern in open_circuits)
        circuit: State = "open" if away else "closed"
        return [
            Seen(endpoint.id, circuit, admits=not away, well=True, resting=False, in_flight=0)
            for endpoint in upstream.endpoints
            if endpoint.id not in tried
        ]

    return look
