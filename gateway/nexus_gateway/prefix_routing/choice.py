"""The choice of an endpoint: home while it has room, then the next; the same on every gateway that sees the same load.

1. The group's scores put the endpoints in order, and its bar says which it may use (`width.py`).
2. Among those the conversation's own scores do: the first is its home.
3. Who has no room is passed over: it has room while its queue of uncached tokens is below tau, which is the peak
   prefill rate times the largest allowed penalty, its requests are below bound * mean + slack, and its KV cache is
   not full. Of the next two with room the lighter is asked; then the same of the group's other endpoints; where none
   has room, the lightest.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from nexus_gateway.prefix_routing.keys import Keys
from nexus_gateway.prefix_routing.load import Load
from nexus_gateway.prefix_routing.rendezvous import LARGEST, scores
from nexus_gateway.prefix_routing.width import NARROW

Why = Literal["home", "holder", "next", "beyond", "full", "short"]
"""`home`; `holder`: it has answered this conversation lately; `next`: home had no room; `beyond`: nobody in the group's
width had; `full`: nobody at all had; `short`: the prompt is too short to be worth a home."""
WARM: Collection[Why] = ("home", "holder")
"""Where the prompt's beginning is expected in the cache."""
FULL_CACHE = 0.95
"""Of an endpoint's KV cache in use by what runs: it would soon have to throw out a request that it has begun."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Of one model, by its route file."""

    prefill_tokens_per_second: float
    """Peak rate of one endpoint."""
    ttft_penalty_seconds: float
    """The longest that a request may wait for its home."""
    bound: float = 1.25
    slack: float = 4.0
    """Requests beyond `bound` times the mean that an endpoint may have."""
    least_tokens: float = 500.0
    """Prompts below that go to the lightest endpoint."""
    slow_start_seconds: float = 30.0

    @property
    def tau(self) -> float:
        """Uncached tokens that may wait at home."""
        return self.prefill_tokens_per_second * self.ttft_penalty_seconds


class Place(NamedTuple):
    """An endpoint that may be asked now: those that are unready, draining, resting or cut off are left out before."""

    id: str
    seed: int
    """`rendezvous.seed_of` its address."""
    load: Load
    age: float = float("inf")
    """Seconds since it came; less than the slow start lets in that part of its keys."""


class Choice(NamedTuple):
    place: int
    """Its number among the places that were given."""
    home: int
    why: Why
    width: int
    """Endpoints that the group may use."""

    @property
    def warm(self) -> bool:
        return self.why in WARM


def choose(
    keys: Keys,
    tokens: float,
    places: Sequence[Place],
    bar: int,
    parameters: Parameters,
    holders: Collection[str] = (),
    group_scores: Sequence[int] | None = None,
) -> Choice:
    """Of at least one place. `tokens`: of the prompt; `bar`: of its group; `holders`: ids that have answered the
    conversation lately, where that is remembered; `group_scores`: of these places, where the caller has them."""
    by_group = scores(keys.group, [one.seed for one in places]) if group_scores is None else group_scores
    open_to_it = started(keys, places, parameters.slow_start_seconds)
    first = max(open_to_it, key=by_group.__getitem__)
    inside = [one for one in open_to_it if by_group[one] >= bar] if bar != NARROW else []
    inside = inside or [first]
    order = _by_conversation(keys, places, inside)
    home = order[0]
    if tokens < parameters.least_tokens:
        return Choice(lightest(range(len(places)), places), home, "short", len(inside))
    limit, tau = limit_of([one.load for one in places], parameters), parameters.tau

    def room(one: int) -> bool:
        load = places[one].load
        return load.tokens < tau and load.requests < limit and load.cache_used < FULL_CACHE

    held = [one for one in open_to_it if places[one].id in holders and room(one)] if holders else []
    if held:
        return Choice(lightest(held, places), home, "home" if held == [home] else "holder", len(inside))
    if room(home):
        return Choice(home, home, "home", len(inside))
    following = [one for one in order[1:] if room(one)]
    if following:
        return Choice(lightest(following[:2], places), home, "next", len(inside))
    others = sorted((one for one in open_to_it if one not in inside), key=by_group.__getitem__, reverse=True)
    beyond = [one for one in others if room(one)]
    if beyond:
        return Choice(lightest(beyond[:2], places), home, "beyond", len(inside))
    return Choice(lightest(range(len(places)), places), home, "full", len(inside))


def limit_of(loads: Sequence[Load], parameters: Parameters) -> float:
    """Requests that an endpoint may have."""
    return parameters.bound * sum(load.requests for load in loads) / len(loads) + parameters.slack


def lightest(among: Collection[int] | range, places: Sequence[Place]) -> int:
    """Fewest tokens to wait for, then fewest requests; among equals the first."""
    return min(among, key=lambda one: (places[one].load.tokens, places[one].load.requests))


def started(keys: Keys, places: Sequence[Place], slow_start: float) -> Sequence[int]:
    """The places that are open to this conversation: of one that came lately, as many conversations as its age is of
    the slow start, each once and for good. The others stay where they were, since without the new endpoint the next in
    their order is the one that they had. All, where all have just come."""
    if all(one.age >= slow_start for one in places):
        return range(len(places))
    draws = scores(keys.conversation ^ LARGEST, [one.seed for one in places])
    found = [
        number
        for number, one in enumerate(places)
        if one.age >= slow_start or draws[number] < one.age / slow_start * LARGEST
    ]
    return found or range(len(places))


def _by_conversation(keys: Keys, places: Sequence[Place], among: Sequence[int]) -> list[int]:
    if len(among) == 1:
        return list(among)
    found = dict(zip(among, scores(keys.conversation, [places[one].seed for one in among]), strict=True))
    return sorted(among, key=found.__getitem__, reverse=True)
