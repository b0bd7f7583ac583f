"""Which engines are asked for one request, and in which order: values in, values out. The gateway decides by it, and
`replay` decides again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from nexus_gateway.endpoints import Seen, choose
from nexus_gateway.routes import Endpoint, Table, Upstream
from nexus_gateway.routing import Match, Route, chain, order, pick
from nexus_gateway.surfaces import Surface

Look = Callable[[Upstream, Collection[str]], Sequence[Seen]]
"""(upstream, ids of its endpoints that have been tried) -> the others, as they are now."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is known of a request that its engines are chosen by."""

    route: Route
    surface: Surface
    place: Callable[[Route], int]
    """Its bucket in the split of a route."""
    holds: Callable[[Match], bool]
    """True where it has the header that a rule names."""
    allowed: Callable[[str], bool]
    """True for models that the caller may use."""
    holder: str = ""
    """The endpoint that keeps the response that it is about or goes on from: no other can be asked. Empty where it is
    about none."""


@dataclass(frozen=True, slots=True)
class Candidate:
    route: Route
    """The one that was asked for, or a fallback."""
    upstream: Upstream
    endpoint: Endpoint


def candidates(table: Table, wanted: Wanted, look: Look) -> Iterator[Candidate]:
    """As many as the route has tries. Each is chosen when it is asked for, by what is known then."""
    return islice(_in_order(table, wanted, look), wanted.route.tries)


def _in_order(table: Table, wanted: Wanted, look: Look) -> Iterator[Candidate]:
    """Route by route along the fallbacks, upstream by upstream, endpoint by endpoint."""
    if wanted.holder:
        candidate = holder(table, wanted)
        if candidate is not None and _admitted(candidate, look):
            yield candidate
        return
    for route, upstream in _upstreams(table, wanted):
        tried = set[str]()
        while len(tried) < len(upstream.endpoints):
            endpoint = endpoint_of(upstream, look(upstream, tried))
            if endpoint is None:
                break
            tried.add(endpoint.id)
            yield Candidate(route, upstream, endpoint)


def drawn(table: Table, wanted: Wanted) -> Upstream | None:
    """Whom the split of the route that was asked for has drawn by chance; None where chance decides nothing."""
    route = wanted.route
    if sum(target.share > 0 for target in route.targets) < 2 or wanted.holder or any(map(wanted.holds, route.matches)):
        return None
    upstreams = [table.upstreams[target.upstream] for target in route.targets if target.share]
    if not all(speaks(upstream, wanted.surface) for upstream in upstreams):
        return None
    return table.upstreams[pick(route, wanted.place(route))]


def spoken(table: Table, wanted: Wanted) -> bool:
    """False where no engine that may be asked speaks the API: nothing is wrong with any of them."""
    return any(True for _ in _upstreams(table, wanted))


def _upstreams(table: Table, wanted: Wanted) -> Iterator[tuple[Route, Upstream]]:
    return (found for found in in_order(table, wanted) if speaks(found[1], wanted.surface))


def in_order(table: Table, wanted: Wanted) -> Iterator[tuple[Route, Upstream]]:
    """Each route along the fallbacks with each of its upstreams, as they would be asked if none of them answered; those
    that do not speak the API too."""
    for route in chain(table.routes, wanted.route, wanted.allowed):
        for name in order(route, wanted.place, wanted.holds):
            yield route, table.upstreams[name]


def holder(table: Table, wanted: Wanted) -> Candidate | None:
    """The endpoint that keeps the response, if the route still leads to it: by whatever share, since to shift traffic
    moves no responses."""
    for route in chain(table.routes, wanted.route, wanted.allowed):
        for name in (*(target.upstream for target in route.targets), *(match.upstream for match in route.matches)):
            upstream = table.upstreams[name]
            for endpoint in upstream.endpoints:
                if endpoint.id == wanted.holder and speaks(upstream, wanted.surface):
                    return Candidate(route, upstream, endpoint)
    return None


def only_candidate(table: Table, route: Route, surface: Surface) -> Candidate | None:
    """The one that `candidates` would choose for every request that no response binds; None where there may be
    others, or none."""
    if len(route.targets) != 1 or route.matches or route.fallbacks:
        return None
    upstream = table.upstreams[route.targets[0].upstream]
    if len(upstream.endpoints) != 1 or not speaks(upstream, surface):
        return None
    return Candidate(route, upstream, upstream.endpoints[0])


def _admitted(candidate: Candidate, look: Look) -> bool:
    others = {endpoint.id for endpoint in candidate.upstream.endpoints} - {candidate.endpoint.id}
    return choose(look(candidate.upstream, others)) is not None


def endpoint_of(upstream: Upstream, seen: Sequence[Seen]) -> Endpoint | None:
    chosen = choose(seen)
    return next((endpoint for endpoint in upstream.endpoints if endpoint.id == chosen), None)


def speaks(upstream: Upstream, surface: Surface) -> bool:
    return surface.api in upstream.apis or translated(upstream, surface)


def translated(upstream: Upstream, surface: Surface) -> bool:
    """True where it is asked in another API than the client's."""
    if surface.api != "messages":
        return False
    own = "messages" in upstream.apis and not upstream.salted  # in `messages` there is no salt
    return not own and "chat" in upstream.apis
