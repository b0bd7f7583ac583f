"""Who answers: shares hold, and nobody moves back and forth."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from nexus_gateway.routing import BUCKETS, Route, Timeouts, bucket, canary, direct, weighted
from nexus_gateway.routing import pick as pick_at

keys = st.text(max_size=20)
percents = st.integers(0, 100)


def route(targets: tuple, salt: str = "0") -> Route:  # type: ignore[type-arg]  # whatever routing gives
    return Route("chat", targets, salt, Timeouts())


def pick(some: Route, key: str) -> str:
    return pick_at(some, bucket(some, key))


@given(key=keys, low=percents, high=percents)
def test_a_canary_that_grows_takes_callers_and_gives_none_back(key: str, low: int, high: int) -> None:
    low, high = sorted((low, high))
    if pick(route(canary("old", "new", low)), key) == "new":
        assert pick(route(canary("old", "new", high)), key) == "new"


@given(key=keys)
def test_the_same_key_has_the_same_answer(key: str) -> None:
    some = route(canary("old", "new", 50))
    assert pick(some, key) == pick(some, key)


@given(weights=st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_weighted_shares_fill_the_line(weights: list[int]) -> None:
    total = sum(weights)
    targets = weighted({str(number): 100 * weight / total for number, weight in enumerate(weights)})
    assert sum(target.share for target in targets) == BUCKETS


def test_shares_hold_within_four_sigma() -> None:
    some, asked = route(weighted({"a": 70, "b": 20, "c": 10})), 20_000
    found = Counter(pick(some, f"caller {number}") for number in range(asked))
    for name, share in (("a", 0.7), ("b", 0.2), ("c", 0.1)):
        assert abs(found[name] / asked - share) < 4 * math.sqrt(share * (1 - share) / asked)


def test_another_rollout_draws_anew() -> None:
    moved = sum(
        pick(route(canary("old", "new", 50), "1"), str(number))
        != pick(route(canary("old", "new", 50), "2"), str(number))
        for number in range(1000)
    )
    assert 400 < moved < 600


def test_one_target_gets_everything_and_weight_0_nothing() -> None:
    assert all(pick(route(direct("only")), str(number)) == "only" for number in range(100))
    assert all(pick(route(canary("old", "new", 0)), str(number)) == "old" for number in range(1000))
    assert all(pick(route(canary("old", "new", 100)), str(number)) == "new" for number in range(1000))
