"""Limits that C counts are those that Python counts: to a token, in every window, of leases too (`limits/`), and where
Python goes on with a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_gateway.limits import memory
from nexus_gateway.limits.limiter import Admitted, Reservation
from nexus_gateway.limits.memory import MemoryLimiter
from nexus_gateway.limits.shared import RedisLimiter
from nexus_gateway.limits.windows import Counted, Limits
from nexus_gateway.straight.counting import counting_of

from ..support.over_sockets import Clock, Drive, in_a_loop, on_both
from ..support.two_ways import ANSWERS, EVENTS, LOST, framed, posted

nexus_native: Any = pytest.importorskip("nexus_native", reason="nexus-native is not built here")

LIMITS = [Limits(requests=5), Limits(tokens=1000), Limits(requests=7, tokens=900), Limits(requests=0, tokens=0)]
NAMES = ["a", "b", "c", "d"]
"""Of callers with those limits."""


class Twins:
    """The same limits, counted with C and without."""

    def __init__(self, made: Callable[[Clock], Any], begin: float = 0.0) -> None:
        self.now = begin
        self.ours, self.theirs = made(lambda: self.now), made(lambda: self.now)
        self.c, self._reserved = counting_of(self.ours)
        self.by_c: bool | None = None
        """Whether the last was."""

    def ask(self, place: int, tokens: int) -> Admitted | None:
        name, limits = NAMES[place], LIMITS[place]
        most = [-1 if limit is None else limit for limit in (limits.requests, limits.tokens)]
        found = self.c.taken(name, limits, *most, tokens)  # type: ignore[union-attr]  # both kinds have one
        self.by_c = found is not None
        admitted = (
            self.ours.at_once(name, limits, tokens)
            if found is None
            else self._reserved(name, found[1], tokens, found[0])
        )
        assert admitted == self.theirs.at_once(name, limits, tokens)
        return admitted  # type: ignore[no-any-return]  # of a limiter of either kind

    def settle(self, held: Reservation, tokens: int) -> None:
        more = max(0, tokens) - held.tokens
        self.c.corrected(held.bucket, held.window, more)  # type: ignore[union-attr]  # as above
        self.theirs.settle(replace(held), tokens)


def here(clock: Clock) -> MemoryLimiter:
    return MemoryLimiter(clock)


def in_redis(clock: Clock) -> RedisLimiter:
    """Which is never asked: its leases are the test's."""
    limiter = RedisLimiter("redis://127.0.0.1:1/0", lambda up, why: None, lease=90.0)
    limiter.leases.clock = clock
    return limiter


def state(limiter: MemoryLimiter | RedisLimiter) -> Any:
    if isinstance(limiter, MemoryLimiter):
        return [(name, one.window, astuple(one)) for name, one in limiter.buckets.items()]
    held = [(name, astuple(one.counted), one.requests, one.tokens) for name, one in limiter.leases.held.items()]
    return held, limiter.leases._owed


def grant(limiter: RedisLimiter, place: int, spent: int) -> None:
    """As if Redis had counted so much, and more for a lease."""
    name, limits = NAMES[place], LIMITS[place]
    limiter.leases._asked[name] = limiter.leases.clock()
    counted = Counted(1, spent % 3, spent, spent // 2)
    limiter.leases.granted(name, limits, counted, 100, 3.25, (4 if limits.requests else 0, 500 if limits.tokens else 0))


_ASK = st.tuples(st.just("ask"), st.integers(0, 3), st.integers(0, 400))
_SETTLE = st.tuples(st.just("settle"), st.integers(0, 9), st.integers(-5, 600))
_WAIT = st.tuples(st.just("wait"), st.just(0), st.floats(0, 130))
_GRANT = st.tuples(st.just("grant"), st.integers(0, 3), st.integers(0, 300))


def walked(twins: Twins, steps: list[Any]) -> None:
    held = list[Reservation]()
    for kind, which, amount in steps:
        if kind == "wait":
            twins.now += amount
        elif kind == "grant":
            grant(twins.ours, which, amount)
            grant(twins.theirs, which, amount)
        elif kind == "ask" and (admitted := twins.ask(which, amount)) is not None:
            held.append(admitted[1])
        elif kind == "settle" and held:
            twins.settle(held.pop(which % len(held)), amount)
        assert state(twins.ours) == state(twins.theirs)


@given(st.lists(st.one_of(_ASK, _SETTLE, _WAIT), max_size=60), st.floats(0, 1e6))
@settings(max_examples=300)
def test_whatever_is_asked_settled_and_waited_for_all_is_counted_alike(steps: list[Any], begin: float) -> None:
    walked(Twins(here, begin), steps)


@given(st.lists(st.one_of(_ASK, _SETTLE, _WAIT, _GRANT, _GRANT), max_size=60), st.floats(0, 1e6))
@settings(max_examples=200)
def test_of_leases_too(steps: list[Any], begin: float) -> None:
    async def story() -> None:
        twins = Twins(in_redis, begin)
        walked(twins, steps)
        for limiter in (twins.ours, twins.theirs):
            if limiter.leases._timer is not None:
                limiter.leases._timer.cancel()

    asyncio.run(story())


def test_c_admits_what_fits_and_asks_python_of_who_is_new_of_a_new_window_and_of_what_does_not_fit() -> None:
    twins, by_c = Twins(here, 6000.0), []
    for step in (0.0, 1.0, 1.0, 60.0, 1.0):
        twins.now += step
        assert twins.ask(2, 100) is not None
        by_c.append(twins.by_c)
    assert by_c == [False, True, True, False, True]
    while twins.ask(2, 100) is not None:
        pass
    assert not twins.by_c


@in_a_loop
async def test_c_gives_of_a_lease_until_it_ends_has_too_little_or_is_one_of_other_limits() -> None:
    twins = Twins(in_redis, 6000.0)
    assert (twins.ask(2, 100), twins.by_c) == (None, False)
    grant(twins.ours, 2, 10)
    grant(twins.theirs, 2, 10)
    for tokens, by_c in ((300, True), (300, False), (100, True)):
        assert (twins.ask(2, tokens) is not None, twins.by_c) == (by_c, by_c)
    twins.now += 60.0
    assert (twins.ask(2, 1), twins.by_c) == (None, False)
    assert state(twins.ours) == state(twins.theirs)
    grant(twins.ours, 2, 10)
    others = Limits(requests=100)
    assert twins.c.taken("c", others, 100, -1, 1) is None  # type: ignore[union-attr]  # as above
    twins.ours.leases.close()
    assert twins.c.taken("c", LIMITS[2], 7, 900, 1) is None  # type: ignore[union-attr]  # as above


def test_who_was_asked_by_c_last_is_forgotten_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_BUCKETS", 2)
    twins = Twins(here)
    for place in (0, 1, 0, 2):
        twins.ask(place, 1)
    assert list(twins.ours.buckets) == ["a", "c"]
    twins.settle(Reservation("b", 1, 0), 5)  # nobody's any more
    assert state(twins.ours) == state(twins.theirs)


@pytest.mark.parametrize(
    ("by_name", "window", "told"), [({}, 0.0, "by_name: dict, window: 0"), ([], 60.0, "by_name: list, window: 60")]
)
def test_what_cannot_be_counted_in_is_refused(by_name: Any, window: float, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        nexus_native.Buckets(by_name, window, None)


@pytest.mark.parametrize(
    "answer",
    [ANSWERS["500"], (framed(EVENTS)[:150], LOST), (framed(EVENTS),)],
    ids=["refused", "stream-lost", "stream"],
)
@in_a_loop
async def test_what_goes_on_in_python_is_settled_or_given_back_there(answer: Any, tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted())
        await drive.ask(client, posted(stream=True), *answer)
        if client.closed:
            client = await drive.client()
        await drive.ask(client, posted(max_tokens=50))

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served >= 1
    assert any(native.tokens)


class Elsewhere:
    """A limiter of another kind."""

    def __init__(self, clock: Clock) -> None:
        self._inner = MemoryLimiter(clock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@in_a_loop
async def test_where_a_limiter_cannot_be_counted_for_requests_pass_in_python(tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.client()
        for _ in range(3):
            await drive.ask(client, posted())

    native, wire, served = await on_both(tmp_path, story, limiter=Elsewhere)
    assert native == wire
    assert served == 0
