"""Who answers: alias -> route -> upstreams in the order in which they are tried. Values in, a value out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from nexus_gateway.routes_file import MaskingFile, TelemetryFile

BUCKETS = 10_000
"""A hundredth of a percent each."""


@dataclass(frozen=True)
class Timeouts:
    """Seconds."""

    first_byte: float = 10.0
    """Of each try."""
    chunk: float = 60.0
    total: float = 600.0
    """Of the request with all its tries."""


@dataclass(frozen=True)
class Target:
    upstream: str
    share: int
    """Of BUCKETS."""


@dataclass(frozen=True)
class Match:
    """Requests whose header says so go to an upstream of their own."""

    header: bytes
    """In lower case."""
    value: bytes
    upstream: str


@dataclass(frozen=True)
class Shadow:
    """Who gets a copy of which requests."""

    upstream: str
    share: int
    """Of BUCKETS."""
    match: Match | None
    """Requests whose header says so alone; None: all."""
    max_parallel: int
    masking: MaskingFile | None = None
    """Of the copies."""


@dataclass(frozen=True)
class Route:
    name: str
    targets: tuple[Target, ...]
    """Shares add up to BUCKETS."""
    salt: str
    """Changes with the releases that take part, not with their weights, so that nobody moves back and forth."""
    timeouts: Timeouts
    matches: tuple[Match, ...] = ()
    """The first that holds decides."""
    fallbacks: tuple[str, ...] = ()
    """Routes that answer where this one cannot, in this order, each with its own fallbacks."""
    tries: int = 3
    """Calls of engines for one request, the first one and all fallbacks included."""
    shadow: Shadow | None = None
    telemetry: TelemetryFile | None = None
    masking: MaskingFile | None = None


def bucket(route: Route, key: str) -> int:
    """The same key is in the same bucket on every gateway, as long as the same releases take part."""
    seed = f"{route.name}\0{route.salt}\0{key}".encode()
    return int.from_bytes(hashlib.sha256(seed).digest()[:8], "big") % BUCKETS


def pick(route: Route, place: int) -> str:
    """The upstream of a bucket.

    Targets are laid on a line from its end: the last target has the lowest buckets, so that a canary that grows
    takes buckets from its neighbour and gives none back.
    """
    for target in reversed(route.targets):
        if place < target.share:
            return target.upstream
        place -= target.share
    raise AssertionError("shares add up to the whole line")


def order(route: Route, place: Callable[[Route], int], holds: Callable[[Match], bool]) -> tuple[str, ...]:
    """The upstreams of one route: the one that is meant, then the others that have a share, largest first. A request
    that a header has sent to an upstream is answered by that one or not by this route. `place` gives the request's
    bucket, where there is something to share."""
    for match in route.matches:
        if holds(match):
            return (match.upstream,)
    if len(route.targets) == 1:
        return (route.targets[0].upstream,)
    first = pick(route, place(route))
    others = sorted((t for t in route.targets if t.share and t.upstream != first), key=lambda t: -t.share)
    return (first, *(target.upstream for target in others))


def chain(routes: Mapping[str, Route], route: Route, allowed: Callable[[str], bool]) -> Iterator[Route]:
    """The route and its fallbacks, each once, with theirs before the next; those that the caller may not use are left
    out."""
    seen: set[str] = set()
    waiting = [route.name]
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        found = route if name == route.name else routes[name]
        if found is route or allowed(name):
            yield found
        waiting = [*found.fallbacks, *waiting]


def share_of(percent: float) -> int:
    """Of BUCKETS."""
    return round(percent * BUCKETS / 100)


def direct(upstream: str) -> tuple[Target, ...]:
    return (Target(upstream, BUCKETS),)


def canary(primary: str, other: str, percent: float) -> tuple[Target, ...]:
    share = share_of(percent)
    return (Target(primary, BUCKETS - share), Target(other, share))


def weighted(weights: Mapping[str, float]) -> tuple[Target, ...]:
    """Weights are percent and add up to 100; what rounding leaves goes to the first."""
    shares = {name: share_of(weight) for name, weight in weights.items()}
    first = next(iter(shares))
    shares[first] += BUCKETS - sum(shares.values())
    return tuple(Target(name, share) for name, share in shares.items())
