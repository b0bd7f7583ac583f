"""A timer that may ring too early, and is then set again by who looks at the clock: one that is stopped and set for
each request, or for each piece of an answer, costs more than the piece.

And one of the loop's takes 700 bytes, which an open stream would have for as long as it is open. So what is due in a
while stands in a list for its second, and the loop has one timer for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakKeyDictionary

_NEAR = 2.0
"""Seconds. What is due within them has a timer of its own, and rings to the millisecond."""


class LateTimer:
    """Times are the loop's. It knows who is told only while it runs: else whoever has one would wait for Python's
    collector."""

    __slots__ = ("_handle", "_loop", "_rang", "_rings", "_seconds")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._seconds = loop, _seconds_of(loop)
        self._handle: asyncio.TimerHandle | None = None
        self._rang: Callable[[], None] | None = None
        self._rings = 0.0

    def ring_by(self, time: float, rang: Callable[[], None]) -> None:
        """`rang` looks whether it is time, and sets it again where it is not."""
        if self._rang is not None:
            if self._rings <= time:
                return
            self.stop()
        self._rang = rang
        if time - self._loop.time() > _NEAR:
            self._rings = second = int(time)
            self._seconds.add(second, self)
        else:
            self._rings, self._handle = time, self._loop.call_at(time, self._ring)

    def stop(self) -> None:
        self._rang = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def ring_at(self, second: int) -> None:
        """Unless it was stopped, or set to another time, since it was put down for `second`."""
        if self._rings == second and self._handle is None:
            self._ring()

    def _ring(self) -> None:
        rang, self._rang, self._handle = self._rang, None, None
        if rang is not None:
            rang()


class _Seconds:
    """What is due when, of one loop, which it does not keep alive."""

    def __init__(self) -> None:
        self._due: dict[int, list[LateTimer]] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._next = 0

    def add(self, second: int, timer: LateTimer) -> None:
        due = self._due.get(second)
        if due is not None:
            due.append(timer)
            return
        self._due[second] = [timer]
        if self._handle is None or second < self._next:
            self._set(second)

    def _set(self, second: int) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._next, self._handle = second, asyncio.get_running_loop().call_at(second, self._ring)

    def _ring(self) -> None:
        self._handle, second = None, self._next
        due = self._due.pop(second)
        if self._due:
            self._set(min(self._due))
        loop = asyncio.get_running_loop()
        for timer in due:
            loop.call_soon(timer.ring_at, second)  # each for itself: a fault in one must not keep the others waiting


_SECONDS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Seconds] = WeakKeyDictionary()


def _seconds_of(loop: asyncio.AbstractEventLoop) -> _Seconds:
    found = _SECONDS.get(loop)
    if found is None:
        found = _SECONDS[loop] = _Seconds()
    return found
