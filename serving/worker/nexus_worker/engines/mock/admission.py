"""Who runs and who waits: in the order in which they came, as far as places and blocks go."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from nexus_worker.engines.engine import Stats
from nexus_worker.engines.mock.prefix_cache import BlockPool, Chain, Lease


@dataclass(frozen=True)
class Wanted:
    chain: Chain
    blocks: int
    most_hits: int


class Admission:
    """As vLLM's first come, first served: who does not fit yet holds up those behind."""

    def __init__(self, places: int, pool: BlockPool) -> None:
        self._free, self._pool = places, pool
        self._running = 0
        self._waiting: deque[tuple[Wanted, asyncio.Future[Lease]]] = deque()

    @asynccontextmanager
    async def take(self, wanted: Wanted) -> AsyncGenerator[Lease, None]:
        turn = (wanted, asyncio.get_running_loop().create_future())
        self._waiting.append(turn)
        self._admit()
        lease = await self._turn(turn)
        try:
            yield lease
        finally:
            self._end(lease)

    def stats(self) -> Stats:
        return Stats(running=self._running, waiting=len(self._waiting), kv_cache=self._pool.used / self._pool.size)

    async def _turn(self, turn: tuple[Wanted, asyncio.Future[Lease]]) -> Lease:
        try:
            return await turn[1]
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
                self._admit()  # those behind may fit
            elif not turn[1].cancelled():
                self._end(turn[1].result())  # admitted, and cancelled before it heard of it
            raise

    def _admit(self) -> None:
        while self._waiting and self._free:
            wanted, told = self._waiting[0]
            if told.cancelled():  # it has not heard of it yet
                self._waiting.popleft()
                continue
            lease = self._pool.take(wanted.chain, wanted.blocks, wanted.most_hits)
            if lease is None:
                return
            self._waiting.popleft()
            self._free -= 1
            self._running += 1
            told.set_result(lease)

    def _end(self, lease: Lease) -> None:
        self._pool.give_back(lease)
        self._free += 1
        self._running -= 1
        self._admit()
