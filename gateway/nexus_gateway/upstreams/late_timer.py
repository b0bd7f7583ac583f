"""A timer that may ring too early, and is then set again by who looks at the clock: one that is stopped and set for
each request, or for each piece of an answer, costs more than the piece."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class LateTimer:
    """Times are the loop's."""

    __slots__ = ("_handle", "_loop", "_rang", "_rings")

    def __init__(self, loop: asyncio.AbstractEventLoop, rang: Callable[[], None]) -> None:
        """`rang` looks whether it is time, and sets it again where it is not."""
        self._loop, self._rang = loop, rang
        self._handle: asyncio.TimerHandle | None = None
        self._rings = 0.0

    def ring_by(self, time: float) -> None:
        if self._handle is not None:
            if self._rings <= time:
                return
            self._handle.cancel()
        self._rings, self._handle = time, self._loop.call_at(time, self._ring)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        self._handle = None
        self._rang()
