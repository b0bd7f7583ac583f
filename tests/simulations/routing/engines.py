"""One engine in virtual time, of the mock's own parts: queue, prefix cache and pace. Words are not written one by one:
all streams of an engine write at one pace, so that it is enough to know which of them ends next."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from nexus_worker.engines.engine import Stats
from nexus_worker.engines.mock.admission import Admission, Wanted
from nexus_worker.engines.mock.pace import Pace
from nexus_worker.engines.mock.prefix_cache import BlockPool

from .texts import Question


@dataclass(frozen=True)
class Machine:
    pace: Pace
    kv_tokens: int
    """That the KV cache holds."""
    block: int
    """Tokens of one of its blocks."""
    places: int = 64
    """Requests that run side by side (`--max-num-seqs`)."""


class Writing:
    """All streams of an engine, each as quick as so many can be, whoever comes and goes."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._written = 0.0  # tokens, by a stream that has been there from the beginning
        self._since = 0.0
        self._ends: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()
        self._next: asyncio.TimerHandle | None = None

    async def write(self, tokens: int) -> None:
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count()
        heapq.heappush(self._ends, (self._written + tokens, next(self._order), told))
        self._wait_for_next()
        await told

    def _count(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._ends:
            self._written += (now - self._since) / self._pace.between_tokens(len(self._ends))
        self._since = now

    def _wait_for_next(self) -> None:
        if self._next:
            self._next.cancel()
            self._next = None
        if self._ends:
            left = max(0.0, self._ends[0][0] - self._written) * self._pace.between_tokens(len(self._ends))
            self._next = asyncio.get_running_loop().call_later(left, self._end_one)

    def _end_one(self) -> None:
        self._count()
        heapq.heappop(self._ends)[2].set_result(None)
        self._wait_for_next()


class Engine:
    """As `MockEngine`, which a test holds it against."""

    def __init__(self, name: str, machine: Machine) -> None:
        self.name, self.machine = name, machine
        self.answered = 0
        self.to_compute = 0
        """Prompt tokens that its requests have left, as they were cached when each came."""
        self._pool = BlockPool(machine.kv_tokens // machine.block)
        self._admission = Admission(machine.places, self._pool)
        self._prefill_turn = asyncio.Lock()
        self._begun = 0
        self._writing = Writing(machine.pace)

    def stats(self) -> Stats:
        """As vLLM counts: who has not begun to be computed waits."""
        found = self._admission.stats()
        return Stats(self._begun, found.running + found.waiting - self._begun, found.kv_cache)

    def uncached(self, question: Question) -> int:
        """Prompt tokens that it would have to compute, by what it has now."""
        return question.prompt - self._pool.hits(question.chain[: question.most_hits]) * self.machine.block

    async def answer(self, question: Question, begun: Callable[[int], None]) -> None:
        """`begun` is told with the first token how many of the prompt were cached."""
        expected = self.uncached(question)
        self.to_compute += expected
        blocks = -(-(question.prompt + question.answer) // self.machine.block)
        async with self._admission.take(Wanted(question.chain, blocks, question.most_hits)) as lease:
            cached = lease.hits * self.machine.block
            await self._prefill(question.prompt - cached)
            self.to_compute -= expected
            begun(cached)
            await self._writing.write(question.answer - 1)
            lease.computed = question.read
            self._begun -= 1
        self.answered += 1

    async def _prefill(self, uncached: int) -> None:
        pace = self.machine.pace
        await asyncio.sleep(pace.ttft_seconds)
        async with self._prefill_turn:
            self._begun += 1
            await asyncio.sleep(pace.prefill_seconds(uncached))
