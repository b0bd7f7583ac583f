"""The choice of an endpoint: home while it has room, then the next; the same on every gateway that sees the same load.

1. The group's scores put the endpoints in order, and its bar says which it may use (`width.py`).
2. Among those the conversation's own scores do: the first is its home.
3. Each of these, and the first that the group does not use, costs the uncached tokens that wait there and, unless it
   is home, what home would save, several times: to compute a prompt anew also delays those behind it and throws
   something out. The cheapest is asked. So under any load most stay, and home is left when that pays.
4. Who is far above the mean of requests is passed over.

A conversation that is known to be new has nothing at home yet. Where it is remembered where it has begun it may begin
at any endpoint of its group: where least waits, and as many at each.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from nexus_gateway.prefix_routing.keys import Keys
from nexus_gateway.prefix_routing.learned import Gain
from nexus_gateway.prefix_routing.load import Load
from nexus_gateway.prefix_routing.rendezvous import LARGEST, Seeds
from nexus_gateway.prefix_routing.width import NARROW

Why = Literal["home", "holder", "new", "next", "beyond", "full", "short", "little"]
"""`home`; `holder`: it has answered this conversation lately; `new`: the conversation begins, and
where it does is remembered: at another of the group's than home; `next`: another of the group's cost less; `beyond`:
one that the group does not use did; `full`: all of these were far above the mean; `short`: the prompt is too short to
be worth a home; `little`: too little of such prompts is found again there."""
WARM: Collection[Why] = ("home", "holder")
"""Where the prompt's beginning is expected in the cache."""
HOMELESS: Collection[Why] = ("short", "little")
"""That are worth no home, and no note of where they were answered."""
WORTH_NEXT, WORTH_BEYOND = 50.0, 12.0
"""Tokens that may wait at home for one that it saves, over what waits elsewhere: at the next of the group, and at one
that would keep the group's beginning from now on as well, in place of another's. As measured
(docs/benchmarks-routing.md)."""
WORTH_ROOM = 10.0
"""Tokens that may wait at home for one that waits at the others on average, even where the one that would be asked has
room: the busier all are, the longer all wait for a prompt that is computed anew."""
WORTH_EVEN = 5.0
"""For a new conversation, tokens that may wait for one that staying later saves: at an endpoint that was given nothing
new lately, more than at one that was given what is even. At home as many more, since a turn whose note is not found in
time goes there."""
ALL = Gain()
LEAST_SHARED = 0.35
"""Of a prompt that home saves. Where it is less the lightest is asked, but by a few conversations,"""
TRIED = 16
"""one of so many, whose turns all stay at home: else with many endpoints nobody would be there, and nobody would learn
that home saves more again."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Of one model, by its route file."""

    prefill_tokens_per_second: float
    """Peak rate of one endpoint."""
    ttft_penalty_seconds: float
    """The longest that a request may wait for its home more than where there is room."""
    bound: float = 2.0
    slack: float = 16.0
    """Requests beyond `bound` times the mean that an endpoint may have."""
    least_tokens: float = 500.0
    """Prompts below that go to the lightest endpoint."""
    slow_start_seconds: float = 30.0

    @property
    def tau(self) -> float:
        """Uncached tokens that may wait at home more than elsewhere, whatever it saves, where elsewhere has room: no
        more waits there than this prompt. Where all have queues, to leave makes them longer for everybody."""
        return self.prefill_tokens_per_second * self.ttft_penalty_seconds

    def most(self, tokens: float, elsewhere: float) -> float:
        """The same for a prompt of so many: it waits longer than the penalty where to compute it anew takes longer.
        `elsewhere`: tokens that wait at each endpoint that does not know it, on average."""
        return max(self.tau, tokens + WORTH_ROOM * elsewhere)


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
    def near(self) -> bool:
        """At another endpoint of the group, where only what the group has in common is expected."""
        return self.why in ("next", "new")

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
    seeds: Seeds | None = None,
    group_scores: Sequence[int] | None = None,
    gain: Gain = ALL,
    dealt: Sequence[float] | None = None,
    weights: Sequence[float] | None = None,
) -> Choice:
    """Of at least one place. `tokens`: of the prompt; `bar`: of its group; `holders`: ids that have answered the
    conversation lately, where that is remembered; `seeds` and `group_scores`: of these places, where the caller has
    them; `gain`: what home saves, as learned; `dealt`: only where the conversation is known to be new, and it will be
    remembered where it began: how much of new conversations each place was given lately; `weights`: of the places,
    where some are to have fewer conversations than others (`arrivals.py`)."""
    seeds = seeds or Seeds([one.seed for one in places])
    by_group = seeds.scores(keys.group) if group_scores is None else group_scores
    open_to_it = started(keys, places, seeds, parameters.slow_start_seconds)
    inside = [one for one in open_to_it if by_group[one] >= bar] if bar != NARROW else []
    inside = inside or [max(open_to_it, key=by_group.__getitem__)]
    by_conversation = _of_conversation(keys, seeds, weights) if len(inside) > 1 else by_group
    home = max(inside, key=by_conversation.__getitem__)
    if tokens < parameters.least_tokens:
        return Choice(lightest(places), home, "short", len(inside))
    if gain.beyond < LEAST_SHARED and not tries(keys):
        found = lightest(places)
        return Choice(found, home, "home" if found == home else "little", len(inside))
    limit = limit_of([one.load for one in places], parameters)
    if dealt is not None and len(inside) > 1:
        outside = _first_outside(open_to_it, inside, by_group)
        if (begun := _beginning(home, inside, outside, places, dealt, tokens, gain, limit)) is not None:
            return begun
    holding = ({one for one in open_to_it if places[one].id in holders} if holders else None) or {home}
    lost_next, lost_beyond = WORTH_NEXT * gain.next * tokens, WORTH_BEYOND * gain.beyond * tokens
    at_home = places[home].load
    waiting = sum([one.load.tokens for one in places]) - sum([places[one].load.tokens for one in holding])
    most = parameters.most(tokens, waiting / max(1, len(places) - len(holding)))
    if holding == {home} and at_home.requests < limit and at_home.tokens < min(lost_next, lost_beyond, most):
        return Choice(home, home, "home", len(inside))  # most requests: elsewhere it costs more though nobody waits
    within = set(inside)

    def cost(one: int) -> tuple[float, float]:
        load = places[one].load
        lost = 0.0 if one in holding else lost_next if one in within else lost_beyond
        if lost > most and load.tokens <= tokens:
            lost = most
        return load.tokens + lost, load.requests

    order = sorted(inside, key=by_conversation.__getitem__, reverse=True)
    outside = _first_outside(open_to_it, inside, by_group)
    known = [*order, *(one for one in holding if one not in within), *outside]
    able = [one for one in known if places[one].load.requests < limit]
    found = min(able, key=cost) if able else lightest(places)
    return Choice(found, home, _why(found, home, holding, within, full=not able), len(inside))


def _of_conversation(keys: Keys, seeds: Seeds, weights: Sequence[float] | None) -> Sequence[float]:
    return seeds.scores(keys.conversation) if weights is None else seeds.weighted(keys.conversation, weights)


def _first_outside(open_to_it: Collection[int], inside: Collection[int], by_group: Sequence[int]) -> Sequence[int]:
    """The one that the group would use next; none where it uses all."""
    others = set(open_to_it).difference(inside)
    return [max(others, key=by_group.__getitem__)] if others else []


def _beginning(
    home: int,
    inside: Collection[int],
    outside: Collection[int],
    places: Sequence[Place],
    dealt: Sequence[float],
    tokens: float,
    gain: Gain,
    limit: float,
) -> Choice | None:
    """Where a new conversation begins; None where nobody has room."""
    even = sum([dealt[one] for one in inside]) / len(inside) or 1.0
    saves = gain.next * tokens

    def cost(one: int) -> tuple[float, float]:
        load = places[one].load
        if one in outside:
            return load.tokens + WORTH_BEYOND * gain.beyond * tokens, load.requests
        given = dealt[one] / even - (one == home)
        return load.tokens + WORTH_EVEN * given * saves, load.requests

    able = [one for one in (*inside, *outside) if places[one].load.requests < limit]
    if not able:
        return None
    found = min(able, key=cost)
    return Choice(found, home, "home" if found == home else "beyond" if found in outside else "new", len(inside))


def tries(keys: Keys) -> bool:
    """Whether this conversation stays at home though that has not been worth it: the same ones at every gateway."""
    return keys.conversation % TRIED == 0


def _why(found: int, home: int, holding: Collection[int], inside: Collection[int], *, full: bool) -> Why:
    if found == home:
        return "home"
    if full:
        return "full"
    return "holder" if found in holding else "next" if found in inside else "beyond"


def limit_of(loads: Sequence[Load], parameters: Parameters) -> float:
    """Requests that an endpoint may have."""
    return parameters.bound * sum([load.requests for load in loads]) / len(loads) + parameters.slack


def lightest(places: Sequence[Place]) -> int:
    """Fewest tokens to wait for, then fewest requests; among equals the first."""
    waiting = [one.load[:2] for one in places]
    return waiting.index(min(waiting))


def started(keys: Keys, places: Sequence[Place], seeds: Seeds, slow_start: float) -> Sequence[int]:
    """The places that are open to this conversation: of one that came lately, as many conversations as its age is of
    the slow start, each once and for good. The others stay where they were, since without the new endpoint the next in
    their order is the one that they had. All, where all have just come."""
    if min([one.age for one in places]) >= slow_start:
        return range(len(places))
    draws = seeds.scores(keys.conversation ^ LARGEST)
    found = [
        number
        for number, one in enumerate(places)
        if one.age >= slow_start or draws[number] < one.age / slow_start * LARGEST
    ]
    return found or range(len(places))
