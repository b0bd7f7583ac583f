"""Who answers: alias -> route -> candidates -> filter -> pick. Values in, a value out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

BUCKETS = 10_000
"""A hundredth of a percent each."""


@dataclass(frozen=True)
class Timeouts:
    """Seconds."""

    first_byte: float = 10.0
    chunk: float = 60.0
    total: float = 600.0


@dataclass(frozen=True)
class Target:
    upstream: str
    share: int
    """Of BUCKETS."""


@dataclass(frozen=True)
class Route:
    name: str
    targets: tuple[Target, ...]
    """Shares add up to BUCKETS."""
    salt: str
    """Changes with the releases that take part, not with their weights, so that nobody moves back and forth."""
    timeouts: Timeouts


def bucket(route: Route, key: str) -> int:
    """The same key is in the same bucket on every gateway, as long as the same releases take part."""
    seed = f"{route.name}\0{route.salt}\0{key}".encode()
    return int.from_bytes(hashlib.sha256(seed).digest()[:8], "big") % BUCKETS


def pick(route: Route, key: str, available: Callable[[str], bool] = lambda _: True) -> str | None:
    """The upstream for `key`; None where none is available.

    Targets are laid on a line from its end: the last target has the lowest buckets, so that a canary that grows
    takes buckets from its neighbour and gives none back.
    """
    place = bucket(route, key)
    for target in reversed(route.targets):
        if place < target.share:
            return target.upstream if available(target.upstream) else None
        place -= target.share
    return None


def direct(upstream: str) -> tuple[Target, ...]:
    return (Target(upstream, BUCKETS),)


def canary(primary: str, other: str, percent: float) -> tuple[Target, ...]:
    share = round(percent * BUCKETS / 100)
    return (Target(primary, BUCKETS - share), Target(other, share))


def weighted(weights: Mapping[str, float]) -> tuple[Target, ...]:
    """Weights are percent and add up to 100; what rounding leaves goes to the first."""
    shares = {name: round(weight * BUCKETS / 100) for name, weight in weights.items()}
    first = next(iter(shares))
    shares[first] += BUCKETS - sum(shares.values())
    return tuple(Target(name, share) for name, share in shares.items())
