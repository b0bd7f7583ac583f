"""The timer of an engine's connection: it rings in time, and for thousands of them the loop has one."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from nexus_gateway.upstreams.late_timer import LateTimer


@dataclass
class Clock:
    """The running loop, with a time that the test moves."""

    now: float = 1000.25
    set: list[tuple[float, Callable[[], None], list[bool]]] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def call_at(self, time: float, callback: Callable[[], None]) -> Any:
        stopped: list[bool] = []
        self.set.append((time, callback, stopped))

        class Handle:
            def cancel(self) -> None:
                stopped.append(True)

        return Handle()

    def call_soon(self, callback: Callable[..., None], *given: object) -> None:
        self.call_at(self.now, lambda: callback(*given))

    def running(self) -> list[float]:
        return [time for time, _, stopped in self.set if not stopped]

    def goes_to(self, now: float) -> None:
        """Every timer rings that is due by then, in its order, also those that are set meanwhile."""
        while due := sorted((one for one in self.set if one[0] <= now and not one[2]), key=lambda one: one[0]):
            time, callback, stopped = due[0]
            self.now = max(self.now, time)
            stopped.append(True)
            callback()
        self.now = now

    def __hash__(self) -> int:
        return id(self)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: made)
    return made


class Waits:
    """Until a time, as a connection does: it looks when it is rung, and sets the timer again where it is early."""

    def __init__(self, clock: Clock, until: float) -> None:
        self.clock, self.until, self.looked, self.over = clock, until, 0, 0.0
        self.timer = LateTimer(clock)  # type: ignore[arg-type]  # as much of a loop as it asks for
        self.timer.ring_by(until, self.rang)

    def rang(self) -> None:
        self.looked += 1
        if self.clock.now >= self.until:
            self.over = self.clock.now
        else:
            self.timer.ring_by(self.until, self.rang)


@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.9, 2.1, 10.0, 10.75, 600.0])
def test_it_rings_to_the_time_that_it_was_set_to(clock: Clock, seconds: float) -> None:
    waits = Waits(clock, clock.now + seconds)
    clock.goes_to(waits.until - 0.001)
    assert not waits.over
    clock.goes_to(waits.until + 1)
    assert waits.over == waits.until
    assert waits.looked <= 2


def test_thousands_have_one_of_the_loop_s(clock: Clock) -> None:
    many = [Waits(clock, clock.now + 60 + number / 1000) for number in range(1000)]
    assert len(clock.running()) == 1
    clock.goes_to(many[-1].until)
    assert [waits.over for waits in many] == [waits.until for waits in many]
    assert not clock.running()


def test_what_is_due_before_all_others_rings_before_them(clock: Clock) -> None:
    late, soon = Waits(clock, clock.now + 60), Waits(clock, clock.now + 5)
    clock.goes_to(soon.until)
    assert (soon.over, late.over) == (soon.until, 0.0)
    clock.goes_to(late.until)
    assert late.over == late.until


def test_one_that_runs_is_set_to_an_earlier_time_and_not_to_a_later(clock: Clock) -> None:
    waits = Waits(clock, clock.now + 60)
    waits.until = clock.now + 90
    waits.timer.ring_by(waits.until, waits.rang)
    clock.goes_to(clock.now + 60)
    assert waits.looked == 1, "it rang as set at first, and was set again"
    waits.until = clock.now + 5
    waits.timer.ring_by(waits.until, waits.rang)
    clock.goes_to(waits.until)
    assert waits.over == waits.until
    looked = waits.looked
    clock.goes_to(clock.now + 100)
    assert waits.looked == looked, "the times before were forgotten"


@pytest.mark.parametrize("seconds", [1.0, 60.0])
def test_one_that_was_stopped_does_not_ring_and_holds_nobody(clock: Clock, seconds: float) -> None:
    waits = Waits(clock, clock.now + seconds)
    waits.timer.stop()
    gone = weakref.ref(waits)
    gc.disable()
    try:
        del waits
        assert gone() is None
    finally:
        gc.enable()
    clock.goes_to(clock.now + 100)


def test_one_that_was_stopped_can_be_set_again_to_the_same_second(clock: Clock) -> None:
    waits = Waits(clock, clock.now + 60)
    waits.timer.stop()
    waits.timer.ring_by(waits.until, waits.rang)
    clock.goes_to(waits.until)
    assert (waits.over, waits.looked) == (waits.until, 2)


def test_a_fault_in_one_keeps_no_other_of_its_second_waiting(clock: Clock) -> None:
    broken = LateTimer(clock)  # type: ignore[arg-type]  # the part of a loop that timers use

    def fails() -> None:
        raise ValueError("a fault")

    broken.ring_by(clock.now + 60, fails)
    waits = Waits(clock, clock.now + 60)
    with pytest.raises(ValueError, match="a fault"):
        clock.goes_to(waits.until)
    clock.goes_to(waits.until)
    assert waits.over == waits.until
