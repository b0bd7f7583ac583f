"""Where all have queues each endpoint gets as many requests, and with every gateway the same ones: `arrivals.py`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from nexus_gateway.endpoints import Seen
from nexus_gateway.placing.placements import Placements
from nexus_gateway.prefix_routing.arrivals import FRESH_SECONDS, LARGEST_WEIGHT, QUEUED, Arrived, Weights, weighed
from nexus_gateway.prefix_routing.choice import Parameters
from nexus_gateway.prefix_routing.keys import Keys
from nexus_gateway.prefix_routing.load import Scrape
from nexus_gateway.prefix_routing.rendezvous import Seeds, seed_of
from nexus_gateway.routes import compile_file, parse

EIGHT = [f"e{number}" for number in range(8)]
SEEDS = Seeds([seed_of(f"http://{name}") for name in EIGHT])
CONVERSATIONS = [seed_of(f"talk {number}") for number in range(160)]
LITTLE, MUCH = QUEUED[0] - 1, QUEUED[1]
STEP = 6.0
"""Seconds from one turn of a conversation to the next."""


def home(conversation: int, weights: Sequence[float] | None = None) -> str:
    scores = SEEDS.scores(conversation) if weights is None else SEEDS.weighted(conversation, weights)
    return EIGHT[max(range(8), key=scores.__getitem__)]


class Engines:
    """They count what they are asked, and have so many waiting."""

    def __init__(self, waiting: float = MUCH) -> None:
        self.asked, self.waiting = Counter[str](), waiting

    def scrape(self, name: str) -> Scrape:
        return Scrape(self.waiting, 0, answered=self.asked[name])


class Gateway:
    """That scrapes each engine so long after every turn."""

    def __init__(self, engines: Engines, late: float = 0.0) -> None:
        self.engines, self.late = engines, late
        self.arrived, self.weights = {name: Arrived() for name in EIGHT}, Weights()

    def scrape(self, now: float, names: Sequence[str] = EIGHT) -> None:
        for name in names:
            self.arrived[name].scraped(self.engines.scrape(name), now + self.late)

    def now(self, now: float) -> Sequence[float] | None:
        if self.weights.due(now):
            self.weights.reckon(self.arrived, now)
        return self.weights.of(EIGHT)


def asked(gateway: Gateway, turns: int, begin: int = 0) -> Mapping[int, str]:
    """Every conversation, each so often; where they were asked last."""
    found: dict[int, str] = {}
    for turn in range(begin, begin + turns):
        weights = gateway.now(turn * STEP)
        found = {conversation: home(conversation, weights) for conversation in CONVERSATIONS}
        gateway.engines.asked.update(found.values())
        gateway.scrape(turn * STEP)
    return found


def excess(where: Mapping[int, str]) -> float:
    """Of the endpoint with the most conversations, over the mean."""
    return max(Counter(where.values()).values()) / (len(where) / len(EIGHT)) - 1


def test_each_has_the_part_of_all_keys_that_its_weight_is_of_the_sum() -> None:
    weights = [2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5]
    found = Counter(home(seed_of(f"key {number}"), weights) for number in range(8000))
    for name, weight in zip(EIGHT, weights, strict=True):
        assert found[name] == pytest.approx(8000 * weight / sum(weights), rel=0.1)


def test_a_weight_that_falls_moves_only_what_its_endpoint_loses() -> None:
    before = {one: home(one, [1.0] * 8) for one in CONVERSATIONS}
    after = {one: home(one, [0.7] + [1.0] * 7) for one in CONVERSATIONS}
    moved = {one for one in CONVERSATIONS if before[one] != after[one]}
    assert moved
    assert {before[one] for one in moved} == {EIGHT[0]}
    assert all(home(one, [1.0] * 8) == home(one) for one in CONVERSATIONS)


def test_while_all_have_queues_no_endpoint_has_many_more_than_the_mean() -> None:
    by_hash = {one: home(one) for one in CONVERSATIONS}
    assert excess(by_hash) > 0.2
    assert excess(asked(Gateway(Engines()), 60)) < 0.6 * excess(by_hash)


def test_where_little_waits_every_conversation_stays_where_hashing_puts_it() -> None:
    gateway = Gateway(Engines(waiting=LITTLE))
    assert asked(gateway, 60) == {one: home(one) for one in CONVERSATIONS}
    assert gateway.now(400.0) is None


def test_between_little_and_much_the_weights_are_between() -> None:
    def weights(waiting: float) -> Sequence[float]:
        gateway = Gateway(Engines(waiting))
        asked(gateway, 60)
        found = gateway.now(400.0)
        assert found is not None
        return found

    half, whole = (max(weights(waiting)) for waiting in ((LITTLE + MUCH) / 2, MUCH))
    assert 1 < half < whole <= LARGEST_WEIGHT


def test_gateways_that_scrape_at_other_moments_send_nearly_all_to_the_same() -> None:
    one = Gateway(Engines())
    other = Gateway(one.engines, late=0.9)
    for turn in range(60):
        asked(one, 1, turn)
        other.scrape(turn * STEP)
    by_one, by_other = ([home(key, gateway.now(400.0)) for key in CONVERSATIONS] for gateway in (one, other))
    assert sum(a != b for a, b in zip(by_one, by_other, strict=True)) <= 0.02 * len(CONVERSATIONS)


def test_in_a_steady_load_few_move_and_only_to_where_they_have_been() -> None:
    gateway = Gateway(Engines())
    been = {one: {where} for one, where in asked(gateway, 60).items()}
    for turn in range(60, 120):
        for one, where in asked(gateway, 1, turn).items():
            been[one].add(where)
    assert max(map(len, been.values())) == 2
    assert sum(len(where) > 1 for where in been.values()) <= 0.1 * len(CONVERSATIONS)


def test_an_endpoint_that_has_just_come_or_does_not_count_has_the_mean() -> None:
    gateway = Gateway(Engines())
    gateway.arrived["e0"] = Arrived()
    for turn in range(60):
        gateway.engines.asked.update(home(one) for one in CONVERSATIONS)
        gateway.scrape(turn * STEP, EIGHT[1:])
        gateway.arrived["e0"].scraped(Scrape(MUCH, 0), turn * STEP)
    assert weighed(gateway.arrived, 354.0).get("e0", 1.0) == 1.0
    gateway.scrape(360.0)
    gateway.scrape(370.0)
    found = gateway.now(400.0)
    assert found is not None
    assert found[0] == 1.0
    assert min(found) < 1.0


def test_one_that_was_not_asked_is_not_given_all_at_once_when_it_comes_back() -> None:
    gateway = Gateway(Engines())
    for turn in range(60):
        gateway.engines.asked.update(one for one in (home(key) for key in CONVERSATIONS) if one != "e0")
        gateway.scrape(turn * STEP)
    assert weighed(gateway.arrived, 354.0)["e0"] == pytest.approx(LARGEST_WEIGHT)


def test_what_waited_where_nobody_has_looked_for_long_weighs_nothing() -> None:
    gateway = Gateway(Engines())
    asked(gateway, 60)
    gateway.engines.waiting = 0.0
    silent, *others = EIGHT
    assert gateway.arrived[silent].waiting > LITTLE * len(EIGHT)  # alone it would keep the weights of all
    last = 59 * STEP
    for second in range(1, int(FRESH_SECONDS) + 2):
        gateway.scrape(last + second, others)
    assert weighed(gateway.arrived, last + FRESH_SECONDS) != {}
    assert weighed(gateway.arrived, last + FRESH_SECONDS + 1) == {}


def test_an_engine_that_began_anew_counts_on_from_0() -> None:
    gateway = Gateway(Engines())
    asked(gateway, 60)
    before = gateway.arrived["e3"].rate
    gateway.engines.asked["e3"] = 0
    gateway.scrape(60 * STEP)
    assert 0.8 * before < gateway.arrived["e3"].rate <= before


def test_of_two_scrapes_in_one_moment_the_first_counts_and_nothing_is_lost() -> None:
    twice, once = Gateway(Engines()), Gateway(Engines())
    for gateway, moments in ((twice, (1.0, 1.0, 7.0)), (once, (1.0, 7.0))):
        for moment in moments:
            gateway.scrape(moment)
            gateway.engines.asked["e0"] = 50
    assert twice.arrived["e0"].rate == once.arrived["e0"].rate > 0


def test_nobody_and_idle_ones_have_no_weights() -> None:
    assert weighed({}, 0.0) == {}
    gateway = Gateway(Engines())
    for turn in range(60):
        gateway.scrape(turn * STEP)
    assert weighed(gateway.arrived, 354.0) == {}


@pytest.mark.parametrize(("waiting", "weighs"), [(LITTLE, False), (MUCH, True)])
def test_a_gateway_places_fewer_conversations_where_more_was_asked(waiting: float, weighs: bool) -> None:
    choice = {"strategy": "prefix", "prefill_tokens_per_second": 10_000, "ttft_penalty_seconds": 0.5}
    said = {"endpoints": [f"http://10.0.0.{number}:8000" for number in range(4)], "choice": choice}
    document = {"upstreams": {"chat": said}, "routes": {"chat": {"strategy": "direct", "upstream": "chat"}}}
    upstream = compile_file("", parse("", json.dumps(document).encode()), 10.0, None).upstreams["chat"]
    first, *others = [one.id for one in upstream.endpoints]
    placements = Placements()
    placements.keep((upstream,), 0.0)
    for second in range(60):
        placements.scraped(first, Scrape(waiting, 0, answered=3.0 * second), 0, second)
        for other in others:
            placements.scraped(other, Scrape(waiting, 0, answered=1.0 * second), 0, second)
    seen = [Seen(one.id, "closed", True, True, False, 0) for one in upstream.endpoints]
    homes = Counter[str]()
    for number in range(400):
        keys = Keys(seed_of("one system prompt"), seed_of(f"conversation {number}"))
        placed = placements.place(upstream, Parameters(10_000, 0.5), keys, 40_000, seen, 60.0)
        assert placed is not None
        homes[placed.home] += 1
    part = 0.5 / (0.5 + 3 * 2.0) if weighs else 0.25  # half the weight against twice of each other one's
    assert homes[first] / 400 == pytest.approx(part, abs=0.05)
