"""Answers that are kept in this process: the least recently used goes first, and all go when their time is over."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from nexus_gateway.exchange import Waiter, given
from nexus_gateway.idempotency.settings import IdempotencySettings
from nexus_gateway.idempotency.store import Claim, Conflict, Found, Kept

_SWEEP_SECONDS = 30.0
"""What is over is never given, and is gone from memory so much later at most, also where nobody asks."""


@dataclass(frozen=True, slots=True)
class _Entry:
    fingerprint: str
    answer: Kept
    until: float


class MemoryStore:
    """Of one loop. Who is under way is not known here: `UnderWay` knows it, and is asked before."""

    def __init__(self, settings: IdempotencySettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._sweeping: asyncio.TimerHandle | None = None

    @property
    def shared(self) -> bool:
        return False

    async def begin(self) -> None:
        self._sweep()

    def claim(self, name: str, fingerprint: str) -> Waiter[Found]:
        entry = self._entries.get(name)
        if entry is None or entry.until <= self._clock():
            return given(Claim(name, fingerprint))
        if entry.fingerprint != fingerprint:
            return given(Conflict())
        self._entries.move_to_end(name)
        return given(entry.answer)

    def keep(self, claim: Claim, answer: Kept) -> Waiter[bool]:
        self._drop(claim.name)
        self._entries[claim.name] = _Entry(claim.fingerprint, answer, self._clock() + self._settings.ttl_seconds)
        self._bytes += answer.size
        while self._bytes > self._settings.total or len(self._entries) > self._settings.entries:
            self._drop(next(iter(self._entries)))
        return given(claim.name in self._entries)

    def free(self, claim: Claim) -> None:
        """Nothing is held."""

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()

    def _sweep(self) -> None:
        now = self._clock()
        for name in [name for name, entry in self._entries.items() if entry.until <= now]:
            self._drop(name)
        self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)

    def _drop(self, name: str) -> None:
        if (entry := self._entries.pop(name, None)) is not None:
            self._bytes -= entry.answer.size
