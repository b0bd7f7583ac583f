"""Who runs and who waits: at most so many at once, in the order in which they came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from nexus_worker.engines.engine import Stats


class Place:
    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        """Held in the key-value cache: the prompt's and those generated."""


class Places:
    def __init__(self, count: int, context: int) -> None:
        self._free = asyncio.Semaphore(count)
        self._capacity = count * context
        self._taken: set[Place] = set()
        self._waiting = 0

    @asynccontextmanager
    async def take(self, tokens: int) -> AsyncGenerator[Place, None]:
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        place = Place(tokens)
        self._taken.add(place)
        try:
            yield place
        finally:
            self._taken.remove(place)
            self._free.release()

    def stats(self) -> Stats:
        held = sum(place.tokens for place in self._taken)
        return Stats(running=len(self._taken), waiting=self._waiting, kv_cache=held / self._capacity)
