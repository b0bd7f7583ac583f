"""The choice is made quickly, and is the one that its plain form makes: endpoint by endpoint, with nothing kept."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_gateway.endpoints import Seen
from nexus_gateway.placing.placements import Placed, Placements
from nexus_gateway.prefix_routing.arrivals import Arrived, Weights
from nexus_gateway.prefix_routing.choice import (
    LEAST_SHARED,
    TRIED,
    WORTH_BEYOND,
    WORTH_EVEN,
    WORTH_NEXT,
    WORTH_ROOM,
    Choice,
    Parameters,
    Place,
    Why,
    choose,
)
from nexus_gateway.prefix_routing.evenness import Evenness
from nexus_gateway.prefix_routing.keys import Keys
from nexus_gateway.prefix_routing.learned import Gain, Learned
from nexus_gateway.prefix_routing.load import Load, Own, Scrape, load_of, with_unknown
from nexus_gateway.prefix_routing.rendezvous import LARGEST, Seeds, seed_of
from nexus_gateway.prefix_routing.width import NARROW, Widths, need_of
from nexus_gateway.routes import Upstream, compile_file, parse

PARAMETERS = Parameters(prefill_tokens_per_second=10_000, ttft_penalty_seconds=0.5, slack=4)
numbers = st.integers(0, LARGEST)
loads = st.builds(Load, st.sampled_from([0.0, 100.0, 4000.0, 30_000.0]) | st.floats(0, 1e6), st.integers(0, 40))


def plain_score(key: int, seed: int) -> int:
    """SplitMix64, as it is published."""
    x = key ^ seed
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def plain_choice(
    keys: Keys,
    tokens: float,
    places: Sequence[Place],
    bar: int,
    parameters: Parameters,
    holders: Collection[str],
    gain: Gain,
    group_scores: Sequence[int] | None = None,
    dealt: Sequence[float] | None = None,
    weights: Sequence[float] | None = None,
) -> Choice:
    everyone = range(len(places))
    by_group = group_scores or [plain_score(keys.group, one.seed) for one in places]
    by_conversation: list[float] = [plain_score(keys.conversation, one.seed) for one in places]
    if weights is not None:
        by_conversation = [math.log((by_conversation[n] + 1) / (2**64 + 1)) / weights[n] for n in everyone]
    slow = parameters.slow_start_seconds
    draws = [plain_score(keys.conversation ^ LARGEST, one.seed) for one in places]
    let_in = [n for n in everyone if places[n].age >= slow or draws[n] < places[n].age / slow * LARGEST]
    let_in = let_in or list(everyone)
    inside = [n for n in let_in if by_group[n] >= bar and bar != NARROW]
    inside = inside or [max(let_in, key=by_group.__getitem__)]
    order = sorted(inside, key=lambda n: -by_conversation[n])
    home = order[0]
    lightest = min(everyone, key=lambda n: (places[n].load.tokens, places[n].load.requests))
    if tokens < parameters.least_tokens:
        return Choice(lightest, home, "short", len(inside))
    if gain.beyond < LEAST_SHARED and keys.conversation % TRIED:
        return Choice(lightest, home, "home" if lightest == home else "little", len(inside))
    mean = sum(one.load.requests for one in places) / len(places)
    limit = parameters.bound * mean + parameters.slack
    holding = {n for n in let_in if places[n].id in holders} or {home}
    outside = [n for n in let_in if n not in inside]
    beside = [max(outside, key=by_group.__getitem__)] if outside else []
    begins = [n for n in [*inside, *beside] if places[n].load.requests < limit]
    if dealt is not None and len(inside) > 1 and begins:
        even = sum(dealt[n] for n in inside) / len(inside) or 1.0

        def begun(n: int) -> tuple[float, float]:
            load, given = places[n].load, dealt[n] / even - (1 if n == home else 0)
            more = WORTH_BEYOND * gain.beyond * tokens if n in beside else WORTH_EVEN * given * (gain.next * tokens)
            return load.tokens + more, load.requests

        first = min(begins, key=begun)
        return Choice(first, home, "home" if first == home else "new" if first in inside else "beyond", len(inside))
    known = [*order, *(holding - set(inside)), *beside]

    others = [places[n].load.tokens for n in everyone if n not in holding]
    others_wait = sum(others) / max(1, len(others))
    penalty = parameters.prefill_tokens_per_second * parameters.ttft_penalty_seconds
    most = max(penalty, tokens + WORTH_ROOM * others_wait)

    def cost(n: int) -> tuple[float, float]:
        lost = 0.0 if n in holding else WORTH_NEXT * gain.next if n in inside else WORTH_BEYOND * gain.beyond
        lost, waits = lost * tokens, places[n].load.tokens
        return waits + (min(lost, most) if waits <= tokens else lost), places[n].load.requests

    able = [n for n in known if places[n].load.requests < limit]
    found = min(able, key=cost) if able else lightest
    why: Why = "beyond"
    if found == home:
        why = "home"
    elif not able:
        why = "full"
    elif found in holding:
        why = "holder"
    elif found in inside:
        why = "next"
    return Choice(found, home, why, len(inside))


@given(key=numbers, seeds=st.lists(numbers, min_size=1, max_size=70))
def test_scores_of_many_at_once_are_those_of_each(key: int, seeds: list[int]) -> None:
    assert list(Seeds(seeds).scores(key)) == [plain_score(key, seed) for seed in seeds]


@settings(max_examples=400)
@given(
    given_loads=st.lists(loads, min_size=1, max_size=16),
    ages=st.lists(st.sampled_from([0.0, 1.0, 15.0, 29.0, float("inf")]), min_size=16, max_size=16) | st.none(),
    keys=st.builds(Keys, numbers, numbers),
    bar=numbers | st.sampled_from([NARROW, 0, LARGEST // 2]),
    tokens=st.sampled_from([100.0, 600.0, 4000.0, 50_000.0]),
    holders=st.sets(st.sampled_from(["e0", "e1", "e2", "gone"]), max_size=3),
    gain=st.sampled_from([Gain(), Gain(0.2, 0.9), Gain(0.02, 0.4), Gain(0.1, 0.2)]),
    dealt=st.lists(st.sampled_from([0.0, 1000.0]) | st.floats(0, 1e6), min_size=16, max_size=16) | st.none(),
    weights=st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=16, max_size=16) | st.none(),
)
def test_the_choice_is_the_one_of_the_plain_form(
    given_loads: list[Load],
    ages: list[float] | None,
    keys: Keys,
    bar: int,
    tokens: float,
    holders: set[str],
    gain: Gain,
    dealt: list[float] | None,
    weights: list[float] | None,
) -> None:
    places = [
        Place(f"e{n}", seed_of(f"http://e{n}"), load, ages[n] if ages else float("inf"))
        for n, load in enumerate(given_loads)
    ]
    weights = weights[: len(places)] if weights else None
    asked = keys, tokens, places, bar, PARAMETERS, holders
    found = choose(*asked, gain=gain, dealt=dealt, weights=weights)
    assert found == plain_choice(*asked, gain, dealt=dealt, weights=weights)


def upstream(count: int) -> Upstream:
    choice = {"strategy": "prefix", "prefill_tokens_per_second": 10_000, "ttft_penalty_seconds": 0.5}
    said = {"endpoints": [f"http://10.0.0.{number}:8000" for number in range(count)], "choice": choice}
    document = {"upstreams": {"chat": said}, "routes": {"chat": {"strategy": "direct", "upstream": "chat"}}}
    return compile_file("", parse("", json.dumps(document).encode()), 10.0, None).upstreams["chat"]


class Plainly:
    """`Placements` with nothing kept but what it was told."""

    def __init__(self, count: int) -> None:
        self.owns, self.scrapes = [Own() for _ in range(count)], [None] * count
        self.came = [-float("inf")] * count
        self.learned, self.widths, self.evenness = Learned(), Widths(), Evenness()
        self.arrived, self.weights = [Arrived() for _ in range(count)], Weights()

    def place(self, upstream: Upstream, keys: Keys, size: int, seen: Sequence[Seen], now: float) -> tuple[str, Why]:
        numbers = [n for n, one in enumerate(seen) if one.admits and not one.resting]
        numbers = [n for n in numbers if seen[n].well] or numbers
        for n in numbers:
            self.owns[n].calls = seen[n].in_flight
        told = with_unknown([load_of(self.scrapes[n], self.owns[n], self.learned.mean_uncached) for n in numbers])
        of = upstream.endpoints
        places = [Place(of[n].id, of[n].seed, load, now - self.came[n]) for n, load in zip(numbers, told, strict=True)]
        tokens = self.learned.tokens(size)
        by_group = [plain_score(keys.group, one.seed) for one in places]
        bar = self.widths.of(keys.group, by_group, need_of(len(places)), tokens, now)
        if bar == NARROW:
            by_group = list(self.evenness.scores(keys.group, by_group, places, now))
        if self.weights.due(now):
            self.weights.reckon({one.id: arrived for one, arrived in zip(of, self.arrived, strict=False)}, now)
        weights, gain = self.weights.of(one.id for one in places), self.learned.gain
        found = plain_choice(keys, tokens, places, bar, PARAMETERS, (), gain, by_group, weights=weights)
        return places[found.place].id, found.why


events = st.one_of(
    st.tuples(st.just("ask"), st.integers(0, 5), st.integers(0, 40), st.sets(st.integers(0, 4), max_size=4)),
    st.tuples(
        st.just("scraped"), st.integers(0, 4), st.integers(0, 30), st.booleans(), st.integers(0, 900) | st.none()
    ),
    st.tuples(st.just("unscraped"), st.integers(0, 4)),
    st.tuples(st.just("answered"), st.booleans(), st.integers(0, 4000)),
    st.tuples(st.just("wait"), st.integers(1, 20)),
)


@settings(max_examples=200)
@given(happenings=st.lists(events, max_size=60), comes=st.integers(0, 60))
def test_placements_that_keep_what_has_not_changed_choose_as_those_that_keep_nothing(
    happenings: list[tuple], comes: int
) -> None:
    """Of four endpoints, and five from some point on."""
    small, large = upstream(4), upstream(5)
    quick, plain, now, current = Placements(), Plainly(5), 0.0, small
    quick.keep((current,), now)
    under_way: list[tuple[Placed, int]] = []
    calls = [0] * 5
    for happened in range(len(happenings)):
        if happened == comes:
            current, plain.came[4] = large, now
            quick.keep((current,), now)
        match happenings[happened]:
            case ("ask", group, conversation, out):
                seen = [
                    Seen(one.id, "closed", n not in out, n % 3 > 0 or not out, False, calls[n])
                    for n, one in enumerate(current.endpoints)
                ]
                keys = Keys(seed_of(f"group {group}"), seed_of(f"conversation {conversation}"))
                placed = quick.place(current, PARAMETERS, keys, 12_000, seen, now)
                if placed is None:
                    assert all(not one.admits for one in seen)
                    continue
                assert (placed.endpoint, placed.why) == plain.place(current, keys, 12_000, seen, now)
                number = next(n for n, one in enumerate(current.endpoints) if one.id == placed.endpoint)
                quick.begun(placed)
                calls[number] += 1
                plain.owns[number].tokens += placed.uncached
                under_way.append((placed, number))
            case ("scraped", number, waiting, counts, answered) if number < len(current.endpoints):
                tokens = 500.0 * waiting if counts else None
                scrape = Scrape(waiting, 2 * waiting, prefill_tokens=tokens, answered=answered)
                quick.scraped(current.endpoints[number].id, scrape, calls[number], now)
                plain.arrived[number].scraped(scrape, now)
                plain.scrapes[number], plain.owns[number].calls = scrape, calls[number]
                plain.owns[number].scraped()
            case ("unscraped", number) if number < len(current.endpoints):
                quick.scraped(current.endpoints[number].id, None, calls[number], now)
                plain.scrapes[number] = None
            case ("answered", ends, cached) if under_way:
                placed, number = under_way[0]
                if placed.waits:
                    quick.answered(placed)
                    plain.owns[number].tokens = max(0.0, plain.owns[number].tokens - placed.uncached)
                if ends:
                    under_way.pop(0)
                    calls[number] -= 1
                    quick.ended(placed, 4000, cached)
                    plain.learned.told(placed.size, 4000, cached, placed.warm, placed.near)
            case ("wait", seconds):
                now += seconds
