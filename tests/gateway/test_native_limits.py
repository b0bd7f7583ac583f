"""Limits that C counts are those that Python counts (limits/memory.py): to a token, in every window, and where Python
goes on with a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_gateway.limits import memory
from nexus_gateway.limits.limiter import Admitted, Reservation
from nexus_gateway.limits.memory import MemoryLimiter
from nexus_gateway.limits.windows import Limits

from ..support.over_sockets import AskedLimiter, Drive, in_a_loop, on_both
from ..support.two_ways import ANSWERS, EVENTS, LOST, framed, posted

nexus_native: Any = pytest.importorskip("nexus_native", reason="nexus-native is not built here")

LIMITS = [Limits(requests=5), Limits(tokens=1000), Limits(requests=7, tokens=900), Limits(requests=0, tokens=0)]
NAMES = ["a", "b", "c", "d"]
"""Of callers with those limits."""


@dataclass
class Twins:
    """The same limits, counted with C and without."""

    now: float = 0.0
    ours: MemoryLimiter = field(init=False)
    theirs: MemoryLimiter = field(init=False)

    def __post_init__(self) -> None:
        self.ours, self.theirs = MemoryLimiter(lambda: self.now), MemoryLimiter(lambda: self.now)
        self.c = nexus_native.Buckets(self.ours.buckets, self.ours.window, self.ours.clock)
        self.by_c = 0

    def ask(self, place: int, tokens: int) -> Admitted | None:
        name, limits = NAMES[place], LIMITS[place]
        most = [-1 if limit is None else limit for limit in (limits.requests, limits.tokens)]
        found = self.c.taken(name, *most, tokens)
        if found is None:
            admitted = self.ours.at_once(name, limits, tokens)
        else:
            self.by_c += 1
            admitted = found[1], Reservation(name, tokens, found[0])
        assert admitted == self.theirs.at_once(name, limits, tokens)
        return admitted

    def settle(self, held: Reservation, tokens: int) -> None:
        self.c.corrected(held.bucket, held.window, max(0, tokens) - held.tokens)
        self.theirs.settle(Reservation(held.bucket, held.tokens, held.window), tokens)

    def alike(self) -> bool:
        return list(self.ours.buckets.items()) == list(self.theirs.buckets.items())


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("ask"), st.integers(0, 3), st.integers(0, 400)),
            st.tuples(st.just("settle"), st.integers(0, 9), st.integers(-5, 600)),
            st.tuples(st.just("wait"), st.just(0), st.floats(0, 130)),
        ),
        max_size=60,
    ),
    st.floats(0, 1e6),
)
@settings(max_examples=300)
def test_whatever_is_asked_settled_and_waited_for_all_is_counted_alike(steps: list[Any], begin: float) -> None:
    twins, held = Twins(begin), list[Reservation]()
    for kind, which, amount in steps:
        if kind == "wait":
            twins.now += amount
        elif kind == "ask" and (admitted := twins.ask(which, amount)) is not None:
            held.append(admitted[1])
        elif kind == "settle" and held:
            twins.settle(held.pop(which % len(held)), amount)
        assert twins.alike()


def test_c_admits_what_fits_and_asks_python_of_who_is_new_of_a_new_window_and_of_what_does_not_fit() -> None:
    twins = Twins(6000.0)
    by_c = []
    for step in (0.0, 1.0, 1.0, 60.0, 1.0):
        twins.now += step
        before = twins.by_c
        assert twins.ask(2, 100) is not None
        by_c.append(twins.by_c > before)
    assert by_c == [False, True, True, False, True]
    while twins.ask(2, 100) is not None:
        pass
    assert twins.alike()


def test_who_was_asked_by_c_last_is_forgotten_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_BUCKETS", 2)
    twins = Twins()
    for place in (0, 1, 0, 2):
        twins.ask(place, 1)
    assert list(twins.ours.buckets) == ["a", "c"]
    assert twins.alike()
    twins.settle(Reservation("b", 1, 0), 5)  # nobody's any more
    assert twins.alike()


@pytest.mark.parametrize(
    ("buckets", "window", "told"), [({}, 0.0, "buckets: dict, window: 0"), ([], 60.0, "buckets: list, window: 60")]
)
def test_what_is_no_store_of_buckets_is_refused(buckets: Any, window: float, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        nexus_native.Buckets(buckets, window, None)


@pytest.mark.parametrize("limiter", [MemoryLimiter, AskedLimiter])
@pytest.mark.parametrize(
    "answer",
    [ANSWERS["500"], (framed(EVENTS)[:150], LOST), (framed(EVENTS),)],
    ids=["refused", "stream-lost", "stream"],
)
@in_a_loop
async def test_what_goes_on_in_python_is_settled_or_given_back_there(
    answer: Any, limiter: type[MemoryLimiter], tmp_path: Path
) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted())
        await drive.ask(client, posted(stream=True), *answer)
        if client.closed:
            client = await drive.client()
        await drive.ask(client, posted(max_tokens=50))

    native, wire, served = await on_both(tmp_path, story, limiter=limiter)
    assert native == wire
    assert served >= 1
    assert any(native.tokens)
