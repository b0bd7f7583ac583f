"""Which endpoint a prompt is sent to, as values: `prefix_routing/`."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_gateway.prefix_routing.choice import (
    WORTH_NEXT,
    WORTH_ROOM,
    Parameters,
    Place,
    choose,
    lightest,
    limit_of,
    tries,
)
from nexus_gateway.prefix_routing.keys import BLOCK, Keys, Prompt, keys_of
from nexus_gateway.prefix_routing.learned import Gain, Learned
from nexus_gateway.prefix_routing.load import Load, Own, Scrape, load_of, with_unknown
from nexus_gateway.prefix_routing.rendezvous import LARGEST, Seeds, seed_of
from nexus_gateway.prefix_routing.width import NARROW, Widths, moved, need_of

PARAMETERS = Parameters(prefill_tokens_per_second=10_000, ttft_penalty_seconds=0.5)
IDLE, LONG = Load(0, 0), 4000.0
numbers = st.integers(0, LARGEST)
loads = st.builds(Load, st.floats(0, 20_000), st.integers(0, 100).map(float), st.just(0.0))


def places(count: int, load: Load = IDLE, age: float = float("inf")) -> list[Place]:
    return [Place(f"e{number}", seed_of(f"http://e{number}"), load, age) for number in range(count)]


def keys(number: int) -> Keys:
    return keys_of(Prompt("acme", "summarizer", head=b"g" * 10, start=b"%d" % number))


def home_of(number: int, among: list[Place], bar: int) -> str:
    return among[choose(keys(number), LONG, among, bar, PARAMETERS).place].id


@given(count=st.integers(1, 20), bar=numbers, group=numbers, conversation=numbers)
def test_idle_endpoints_are_asked_at_home_in_whatever_order_they_are_listed(
    count: int, bar: int, group: int, conversation: int
) -> None:
    one = Keys(group, conversation)
    listed = places(count)
    choice = choose(one, LONG, listed, bar, PARAMETERS)
    turned = list(reversed(listed))
    other = choose(one, LONG, turned, bar, PARAMETERS)
    assert choice.why == "home"
    assert choice.place == choice.home
    assert listed[choice.place].id == turned[other.place].id


@given(count=st.integers(1, 12), bar=numbers, group=numbers, conversation=numbers)
def test_who_moves_when_an_endpoint_comes_moves_to_it(count: int, bar: int, group: int, conversation: int) -> None:
    one, after = Keys(group, conversation), places(count + 1)
    before = after[:-1]
    was = before[choose(one, LONG, before, bar, PARAMETERS).place].id
    now = after[choose(one, LONG, after, bar, PARAMETERS).place].id
    assert now in (was, after[-1].id)


@pytest.mark.parametrize("bar", [NARROW, LARGEST // 4 * 3, LARGEST // 2, 0], ids=["one", "quarter", "half", "all"])
@pytest.mark.parametrize("count", [1, 3, 7])
def test_one_endpoint_more_takes_its_share_and_no_more(count: int, bar: int) -> None:
    """Of 4,000 conversations of 4,000 groups; by more than four deviations of the mean it cannot be chance."""
    after = places(count + 1)
    moving = 0
    for number in range(4000):
        one = keys_of(Prompt("acme", "m", head=b"group %d" % number, start=b"hello"))
        was = after[choose(one, LONG, after[:-1], bar, PARAMETERS).place].id
        moving += after[choose(one, LONG, after, bar, PARAMETERS).place].id != was
    expected = 4000 / (count + 1)
    deviation = (expected * (1 - 1 / (count + 1))) ** 0.5
    assert abs(moving - expected) < 4 * deviation


@given(given_loads=st.lists(loads, min_size=1, max_size=16), bar=numbers, group=numbers, conversation=numbers)
def test_nobody_is_asked_beyond_its_bound_while_somebody_has_room(
    given_loads: list[Load], bar: int, group: int, conversation: int
) -> None:
    among = [one._replace(load=load) for one, load in zip(places(len(given_loads)), given_loads, strict=True)]
    choice = choose(Keys(group, conversation), LONG, among, bar, PARAMETERS)
    asked = given_loads[choice.place]
    assert asked.requests < limit_of(given_loads, PARAMETERS) or choice.place == lightest(among)
    assert (choice.place == choice.home) == (choice.why == "home")


@pytest.mark.parametrize(("gain", "saves"), [(Gain(1.0, 1.0), LONG), (Gain(0.2, 0.9), 0.2 * LONG)])
def test_home_is_left_for_the_next_when_that_pays(gain: Gain, saves: float) -> None:
    """Without the cap of tau, which a route sets."""
    parameters = replace(PARAMETERS, ttft_penalty_seconds=1e6)
    among, home = places(4), choose(keys(1), LONG, places(4), 0, parameters).home
    for more, why in ((-1.0, "home"), (1.0, "next")):
        waits = Load(100 + WORTH_NEXT * saves + more, 1)
        loaded = [one._replace(load=waits if n == home else Load(100, 1)) for n, one in enumerate(among)]
        assert choose(keys(1), LONG, loaded, 0, parameters, gain=gain).why == why


@pytest.mark.parametrize(
    ("seconds", "elsewhere", "most"),
    [(3.0, 0.0, 30_000.0), (0.1, 0.0, LONG), (0.1, LONG, LONG + WORTH_ROOM * LONG)],
    ids=["the penalty", "no less than to compute it anew", "more where all are busy"],
)
def test_how_long_one_waits_for_home_while_elsewhere_has_room(seconds: float, elsewhere: float, most: float) -> None:
    among, parameters = places(4, Load(elsewhere, 1)), replace(PARAMETERS, ttft_penalty_seconds=seconds)
    home = choose(keys(1), LONG, among, NARROW, parameters).home
    for more, why in ((-1, "home"), (1, "beyond")):
        at_home = Load(elsewhere + most + more, 1)
        loaded = [one._replace(load=at_home) if n == home else one for n, one in enumerate(among)]
        assert choose(keys(1), LONG, loaded, NARROW, parameters, gain=Gain(99.0, 99.0)).why == why


@pytest.mark.parametrize(("waits", "why"), [(LONG, "next"), (LONG + 1, "home")])
def test_the_penalty_moves_nobody_to_where_more_waits_than_its_own_prompt(waits: float, why: str) -> None:
    among, home = places(4), choose(keys(1), LONG, places(4), 0, PARAMETERS).home
    at_home = Load(2 * LONG + 1.1 * PARAMETERS.most(LONG, waits), 1)
    loaded = [one._replace(load=at_home if n == home else Load(waits, 1)) for n, one in enumerate(among)]
    assert choose(keys(1), LONG, loaded, 0, PARAMETERS).why == why


def test_most_stay_at_home_while_all_engines_have_more_to_do_than_they_can() -> None:
    """Else all compute what others have cached, and never come out of it."""
    among = [one._replace(load=Load(100 * PARAMETERS.tau, 60)) for one in places(5)]
    assert {choose(keys(number), LONG, among, NARROW, PARAMETERS).why for number in range(50)} == {"home"}


def test_what_is_hardly_found_again_goes_to_the_lightest_but_for_a_few_that_try() -> None:
    among = [one._replace(load=Load(number, 1)) for number, one in enumerate(reversed(places(5)))]
    little = [(choose(keys(n), LONG, among, 0, PARAMETERS, gain=Gain(0.2, 0.2)), tries(keys(n))) for n in range(400)]
    assert {choice.place for choice, tried in little if not tried} == {0}
    assert {choice.why for choice, tried in little if not tried} == {"home", "little"}
    assert {choice.why for choice, tried in little if tried} == {"home"}
    assert 10 < sum(tried for _, tried in little) < 45


@pytest.mark.parametrize("some_try", [True, False])
def test_it_is_learned_again_that_home_is_worth_it(some_try: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 64 endpoints that take turns as the lightest. First no prompt comes twice, then all come again and again."""
    if not some_try:
        monkeypatch.setattr("nexus_gateway.prefix_routing.choice.tries", lambda keys: False)
    learned, cached, bare = Learned(), set[tuple[int, int]](), places(64)

    def ask(conversation: int, turn: int) -> str:
        among = [one._replace(load=Load((n - turn) % 64, 1)) for n, one in enumerate(bare)]
        choice = choose(keys(conversation), LONG, among, NARROW, PARAMETERS, gain=learned.gain)
        at = (conversation, choice.place)
        learned.told(16_000, 4000, 3600 if at in cached else 0, choice.warm, choice.near)
        cached.add(at)
        return choice.why

    new = [ask(number, number) for number in range(1000)]
    assert new[:5] == ["home"] * 5
    assert new[-50:].count("little") > 30
    again = [ask(5000 + turn % 321, turn) for turn in range(1605)]  # 321: each time another endpoint is the lightest
    assert (again[-50:].count("home") == 50) == some_try


def test_a_short_prompt_goes_to_the_lightest() -> None:
    among = [one._replace(load=Load(number, 1)) for number, one in enumerate(reversed(places(5)))]
    choice = choose(keys(1), PARAMETERS.least_tokens - 1, among, NARROW, PARAMETERS)
    assert (choice.place, choice.why) == (0, "short")


@given(conversation=numbers, ages=st.lists(st.floats(0, 30), min_size=2, max_size=5).map(sorted))
def test_a_new_endpoint_is_given_more_and_takes_nothing_back(conversation: int, ages: list[float]) -> None:
    old = places(5)
    taken = [
        choose(Keys(7, conversation), LONG, [*old[:4], old[4]._replace(age=age)], 0, PARAMETERS).place for age in ages
    ]
    stayed = choose(Keys(7, conversation), LONG, old[:4], 0, PARAMETERS).place
    assert set(taken) <= {stayed, 4}
    assert all(later == 4 for earlier, later in pairwise(taken) if earlier == 4)


def test_a_third_of_the_slow_start_lets_a_third_of_its_conversations_in() -> None:
    among = [*places(4)[:3], places(4)[3]._replace(age=PARAMETERS.slow_start_seconds / 3)]
    whole = sum(home_of(number, places(4), 0) == "e3" for number in range(3000))
    part = sum(home_of(number, among, 0) == "e3" for number in range(3000))
    assert 0.25 < part / whole < 0.42


def test_endpoints_that_have_all_just_come_are_all_asked() -> None:
    assert {home_of(number, places(3, age=0.0), 0) for number in range(50)} == {"e0", "e1", "e2"}


def test_who_has_answered_is_asked_again_while_it_has_room() -> None:
    among = places(4)
    home = choose(keys(3), LONG, among, 0, PARAMETERS).home
    other = (home + 1) % 4
    choice = choose(keys(3), LONG, among, 0, PARAMETERS, holders=(among[other].id,))
    assert (choice.place, choice.why, choice.warm) == (other, "holder", True)
    full = [
        one._replace(load=Load(PARAMETERS.most(LONG, 0) + 1, 0)) if n == other else one for n, one in enumerate(among)
    ]
    assert choose(keys(3), LONG, full, 0, PARAMETERS, holders=(among[other].id,)).place == home


@given(scores_=st.lists(numbers, min_size=1, max_size=32, unique=True), need=st.floats(0, 40), bar=numbers)
def test_a_bar_lets_in_as_many_as_are_needed(scores_: list[int], need: float, bar: int) -> None:
    used = max(1, sum(score >= moved(bar, scores_, need) for score in scores_))
    assert used >= min(int(need), len(scores_))
    assert moved(moved(bar, scores_, need), scores_, need) == moved(bar, scores_, need)


def test_a_group_uses_more_as_its_share_grows_and_narrows_again() -> None:
    by_group, widths = Seeds([one.seed for one in places(8)]).scores(1), Widths()

    def used() -> int:
        bar = widths.of(1, by_group, need_of(8), 1.0, 0.0)
        return max(1, sum(score >= bar for score in by_group))

    alone = [used() for _ in range(100)]
    assert alone[0] == 1
    assert alone[4:] == [8] * 96
    for number in range(20_000):
        widths.of(2 + number % 500, by_group, need_of(8), 1.0, 0.0)
    assert used() == 1


def test_gateways_that_see_other_parts_of_a_large_group_let_it_use_all() -> None:
    by_group = Seeds([one.seed for one in places(8)]).scores(1)
    for share in (0.07, 0.1, 0.2, 1.0):
        assert moved(NARROW, by_group, need_of(8) * share) == min(by_group)
    assert moved(min(by_group), by_group, need_of(8) * 0.05) == min(by_group)
    assert moved(min(by_group), by_group, need_of(8) * 0.04) > min(by_group)


def test_a_group_of_a_tenth_of_the_load_has_one_endpoint_of_eight() -> None:
    by_group, widths = Seeds([one.seed for one in places(8)]).scores(1), Widths()
    for number in range(9):
        widths.of(100 + number, by_group, 6.4, 1.0, 0.0)
    assert widths.of(1, by_group, 6.4, 1.0, 0.0) == NARROW
    assert widths.share(1) == pytest.approx(0.1)


def test_groups_are_forgotten_beyond_the_most() -> None:
    widths = Widths(most=10)
    for group in range(1000):
        widths.of(group, [1, 2], 1.0, 1.0, float(group))
    assert len(widths) == 10


def test_a_second_turn_has_the_keys_of_the_first_and_a_changing_date_those_of_the_group() -> None:
    system = b"You are the assistant of Initech. " * 100
    first = keys_of(Prompt("acme", "m", head=system + b"It is Monday.", start=b"hello"))
    tuesday = keys_of(Prompt("acme", "m", head=system + b"It is Tuesday.", start=b"hello"))
    assert first == keys_of(Prompt("acme", "m", head=system + b"It is Monday.", start=b"hello"))
    assert first.group == tuesday.group
    assert first.conversation != tuesday.conversation


@settings(max_examples=50)
@given(st.sampled_from(["tenant", "model", "adapter", "head"]))
def test_another_tenant_model_adapter_or_system_prompt_has_keys_of_its_own(part: str) -> None:
    said = {"tenant": "acme", "model": "m", "adapter": "a", "head": b"system", "start": b"hello"}
    other = said | {part: said["start"] if part == "head" else "other"}
    mine, theirs = keys_of(Prompt(**said)), keys_of(Prompt(**other))  # type: ignore[arg-type]
    assert mine.group != theirs.group
    assert mine.conversation != theirs.conversation


def test_a_named_conversation_keeps_its_key_whatever_it_says() -> None:
    named = [keys_of(Prompt("acme", "m", start=text, named="s1", source="session")) for text in (b"hello", b"bye")]
    assert named[0] == named[1]
    assert named[0].source == "session"
    assert keys_of(Prompt("acme", "m", named="s1", source="user")).conversation != named[0].conversation
    assert keys_of(Prompt("other", "m", named="s1", source="session")).conversation != named[0].conversation


def test_what_follows_the_first_block_of_a_prompt_makes_no_other_key() -> None:
    document = b"d" * BLOCK
    assert keys_of(Prompt("a", "m", start=document + b"one?")) == keys_of(Prompt("a", "m", start=document + b"two?"))


def test_calls_since_the_scrape_are_added_to_what_it_said() -> None:
    own = Own(calls=2, tokens=200)
    own.scraped()
    own.calls, own.tokens = 5, 1200
    assert load_of(Scrape(waiting=3, running=4), own, mean_uncached=100) == Load(3 * 100 + 1000, 3 + 4 + 3)
    assert load_of(Scrape(0, 0, prefill_tokens=7000), own, 100).tokens == 8000


def test_an_endpoint_that_nothing_is_known_of_is_as_loaded_as_the_others_and_never_idle() -> None:
    unknown = load_of(None, Own(), 100)
    seen = with_unknown([Load(1000, 10), unknown, Load(3000, 20)])
    assert (seen[1].tokens, seen[1].requests, seen[1].known) == (2000, 15, False)
    assert with_unknown([unknown, unknown]) == [unknown, unknown]


def test_what_engines_say_of_their_caches_is_learned() -> None:
    learned = Learned()
    for _ in range(2000):
        learned.told(size=3000, prompt_tokens=1000, cached_tokens=900, warm=True)
        learned.told(size=3000, prompt_tokens=1000, cached_tokens=500, warm=False, near=True)
    assert learned.tokens(3000) == pytest.approx(1000, rel=0.01)
    assert learned.uncached(1000, warm=True) == pytest.approx(100, rel=0.05)
    assert learned.uncached(1000, warm=False, near=True) == pytest.approx(500)
    assert learned.uncached(1000, warm=False) == 1000
    assert learned.gain == pytest.approx((0.4, 0.9), abs=0.01)


def test_what_home_saves_is_not_forgotten_while_caches_are_empty() -> None:
    learned = Learned(saved=0.9)
    for number in range(300):
        learned.told(3000, 1000, 900 if number % 6 == 0 else 0, warm=True)
    assert learned.gain.beyond > 0.6
