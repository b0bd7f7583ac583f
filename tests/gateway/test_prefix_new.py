"""Where a conversation begins that is known to be new, as values: `prefix_routing/choice.py` and `dealt.py`."""

from __future__ import annotations

from collections import Counter
from statistics import pstdev

import pytest

from nexus_gateway.prefix_routing.choice import WORTH_BEYOND, WORTH_EVEN, Choice, Parameters, Place, choose
from nexus_gateway.prefix_routing.dealt import DEALT_SECONDS, Dealt
from nexus_gateway.prefix_routing.keys import Keys
from nexus_gateway.prefix_routing.learned import Gain, Learned
from nexus_gateway.prefix_routing.load import Load
from nexus_gateway.prefix_routing.rendezvous import Seeds, seed_of
from nexus_gateway.prefix_routing.width import NARROW

PARAMETERS = Parameters(prefill_tokens_per_second=10_000, ttft_penalty_seconds=0.5)
GROUP, LONG, ALL, IDLE = 7, 4000.0, 0, Load(0, 0)
SAVES = Gain(0.8, 0.9)
"""Conversations find much more where they began than elsewhere in the group."""


def places(count: int, load: Load = IDLE) -> list[Place]:
    return [Place(f"e{number}", seed_of(f"http://e{number}"), load) for number in range(count)]


def begun(number: int, among: list[Place], dealt: list[float], bar: int = ALL, gain: Gain = SAVES) -> Choice:
    keys = Keys(GROUP, seed_of(f"conversation {number}"))
    return choose(keys, LONG, among, bar, PARAMETERS, gain=gain, dealt=dealt)


def with_load(among: list[Place], loads: dict[int, Load]) -> list[Place]:
    return [one._replace(load=loads.get(number, one.load)) for number, one in enumerate(among)]


def test_each_endpoint_is_given_as_many_new_ones() -> None:
    """By their hashes alone one of eight has a third more than is even: that is what the memory is for."""
    among, dealt, given, homes = places(8), Dealt(), Counter[int](), Counter[int]()
    for number in range(400):
        now = number * DEALT_SECONDS / 10
        choice = begun(number, among, dealt.to([one.seed for one in among], now))
        dealt.count(among[choice.place].seed, LONG)
        given[choice.place] += 1
        homes[choice.home] += 1
    assert pstdev(given.values()) < 0.5 * pstdev(homes.values())


def test_it_begins_at_home_unless_home_was_given_more_than_others_by_what_is_even() -> None:
    among = places(4)
    home = begun(1, among, [0.0] * 4).home
    for more, why in ((0.9, "home"), (1.1, "new")):
        dealt = [1000.0 * (1 + more * 3 / 4 if n == home else 1 - more / 4) for n in range(4)]
        choice = begun(1, among, dealt)
        assert (choice.why, choice.place == home) == (why, why == "home")


@pytest.mark.parametrize(("more", "why"), [(-1.0, "home"), (1.0, "new")])
def test_it_begins_where_least_waits_once_that_pays(more: float, why: str) -> None:
    among, lightest = places(4, Load(50_000, 5)), 2
    number = next(n for n in range(50) if begun(n, among, [0.0] * 4).home != lightest)
    waits = 50_000 - WORTH_EVEN * SAVES.next * LONG - more
    choice = begun(number, with_load(among, {lightest: Load(waits, 5)}), [0.0] * 4)
    assert (choice.why, choice.warm, choice.near) == (why, why == "home", why == "new")
    assert (choice.place == lightest) == (why == "new")


def test_a_group_with_one_endpoint_keeps_its_new_ones_there() -> None:
    among = places(4)
    home = begun(1, among, [0.0] * 4, NARROW).home
    dealt = [100_000.0 if n == home else 0.0 for n in range(4)]
    assert {begun(number, among, dealt, NARROW).why for number in range(20)} == {"home"}


def test_a_group_leaves_its_endpoints_only_where_far_more_waits_at_all_of_them() -> None:
    scores = Seeds([one.seed for one in places(4)]).scores(GROUP)
    first, second, third, _ = sorted(range(4), key=lambda n: -scores[n])
    bar, worth = scores[second], WORTH_BEYOND * SAVES.beyond * LONG
    for waits, whys in ((worth, {"home", "new"}), (2 * worth + WORTH_EVEN * LONG, {"beyond"})):
        among = with_load(places(4), {first: Load(waits, 5), second: Load(waits, 5)})
        found = [begun(number, among, [0.0] * 4, bar) for number in range(30)]
        assert {one.why for one in found} <= whys
        assert ({one.place for one in found} == {third}) == (whys == {"beyond"})


def test_where_staying_saves_nothing_load_alone_decides() -> None:
    """One system prompt that all share, and no second turns."""
    among, nothing = places(4, Load(1000, 5)), Gain(0.002, 0.9)
    dealt = [0.0, 0.0, 0.0, 9000.0]
    assert {begun(number, with_load(among, {3: Load(500, 5)}), dealt, gain=nothing).place for number in range(20)} == {
        3
    }


def test_where_nobody_has_room_the_rule_decides() -> None:
    parameters = Parameters(10_000, 0.5, bound=1.0, slack=-1.0)
    keys, among = Keys(GROUP, 1), places(4, Load(0, 5))
    by_rule = choose(keys, LONG, among, ALL, parameters, gain=SAVES)
    assert by_rule.why in ("full", "home")
    assert choose(keys, LONG, among, ALL, parameters, gain=SAVES, dealt=[0.0] * 4) == by_rule


@pytest.mark.parametrize(("tokens", "gain", "why"), [(100.0, SAVES, "short"), (LONG, Gain(0.2, 0.2), "little")])
def test_what_is_worth_no_home_goes_to_the_lightest_as_ever(tokens: float, gain: Gain, why: str) -> None:
    among = [one._replace(load=Load(number, 1)) for number, one in enumerate(reversed(places(4)))]
    numbers = [n for n in range(64) if seed_of(f"conversation {n}") % 16]
    for number in numbers:
        keys = Keys(GROUP, seed_of(f"conversation {number}"))
        choice = choose(keys, tokens, among, ALL, PARAMETERS, gain=gain, dealt=[9.0, 0.0, 0.0, 0.0])
        assert choice.place == 0
        assert choice.why in (why, "home")


def test_what_is_found_by_one_that_begins_elsewhere_teaches_what_home_saves() -> None:
    among, learned = places(4), Learned()
    dealt = [0.0 if n == 0 else 9000.0 for n in range(4)]
    number = next(n for n in range(50) if begun(n, among, [0.0] * 4).home != 0)
    choice = begun(number, among, dealt)
    for _ in range(20):
        learned.told(16_000, 4000, 3900, warm=True)
        learned.told(16_000, 4000, 400, choice.warm, choice.near)
    assert choice.why == "new"
    assert learned.gain.next == pytest.approx(0.975 - 0.1, abs=0.1)
    assert learned.uncached(LONG, choice.warm, choice.near) > 0.8 * LONG


def test_what_was_dealt_is_forgotten_by_and_by_and_then_wholly() -> None:
    dealt = Dealt()
    dealt.to([1, 2], 0.0)
    dealt.count(1, 1000.0)
    assert dealt.to([1, 2], 0.0) == [1000.0, 0.0]
    assert dealt.to([2, 1], DEALT_SECONDS)[1] == pytest.approx(368, abs=1)
    assert len(dealt) == 1
    assert dealt.to([1, 2], 20 * DEALT_SECONDS) == [0.0, 0.0]
    assert len(dealt) == 0
