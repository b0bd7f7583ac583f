"""A timer that may ring too early, and is then set again by who looks at the clock: one that is stopped and set for
each request, or for each piece of an answer, costs more than the piece."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class LateTimer:
    """Times are the loop's. It knows who is told only while it runs: else whoever has one would wait for Python's
    collector."""

    __slots__ = ("_handle", "_loop", "_rings")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None
        self._rings = 0.0

    def ring_by(self, time: float, rang: Callable[[], None]) -> None:
        """`rang` looks whether it is time, and sets it again where it is not."""
        if self._handle is not None:
            if self._rings <= time:
                return
            self._handle.cancel()
        self._rings, self._handle = time, self._loop.call_at(time, self._ring, rang)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self, rang: Callable[[], None]) -> None:
        self._handle = None
        rang()
