"""Which engines are asked for one request, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nexus_gateway.request import Request
from nexus_gateway.routes import Endpoint, Upstream
from nexus_gateway.routing import Route, chain, order

Choose = Callable[[Upstream, set[str]], Endpoint | None]
"""(upstream, ids of its endpoints that have been tried) -> the next one; None where none is left."""


@dataclass(frozen=True, slots=True)
class Candidate:
    route: Route
    """The one that was asked for, or a fallback."""
    upstream: Upstream
    endpoint: Endpoint


def candidates(request: Request, choose: Choose) -> Iterator[Candidate]:
    """Route by route along the fallbacks, upstream by upstream, endpoint by endpoint. Each is chosen when it is asked
    for, by what is known then."""
    table = request.snapshot.table
    for route in chain(table.routes, request.route, request.caller.may_use):
        for name in order(route, request.sticky_key, request.exchange.head.first):
            upstream, tried = table.upstreams[name], set[str]()
            while (endpoint := choose(upstream, tried)) is not None:
                tried.add(endpoint.id)
                yield Candidate(route, upstream, endpoint)
