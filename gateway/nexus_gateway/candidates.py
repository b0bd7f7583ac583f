"""Which engines are asked for one request, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nexus_gateway.request import Request
from nexus_gateway.routes import Endpoint, Upstream
from nexus_gateway.routing import Route, chain, order
from nexus_gateway.surfaces import Surface

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
            if not speaks(upstream, request.surface):
                continue
            while (endpoint := choose(upstream, tried)) is not None:
                tried.add(endpoint.id)
                yield Candidate(route, upstream, endpoint)


def speaks(upstream: Upstream, surface: Surface) -> bool:
    return surface.api in upstream.apis or translated(upstream, surface)


def translated(upstream: Upstream, surface: Surface) -> bool:
    """True where it is asked in another API than the client's."""
    return surface.api == "messages" and "messages" not in upstream.apis and "chat" in upstream.apis


def spoken(request: Request) -> bool:
    """False where no engine that may be asked speaks the API: nothing is wrong with any of them."""
    table = request.snapshot.table
    routes = chain(table.routes, request.route, request.caller.may_use)
    named = (name for route in routes for name in order(route, request.sticky_key, request.exchange.head.first))
    return any(speaks(table.upstreams[name], request.surface) for name in named)
