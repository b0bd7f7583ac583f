"""How late the loop is: what every request waits for when something holds it up."""

from __future__ import annotations

import asyncio

_EVERY_SECONDS = 0.1


class LoopLag:
    """Asks to be called after a while, and notes how much later it was."""

    def __init__(self) -> None:
        self._worst = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        def wake(due: float) -> None:
            now = loop.time()
            self._worst = max(self._worst, now - due)
            self._timer = loop.call_at(now + _EVERY_SECONDS, wake, now + _EVERY_SECONDS)

        wake(loop.time())

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def take(self) -> float:
        """Seconds, the worst since it was taken last."""
        worst, self._worst = self._worst, 0.0
        return worst
