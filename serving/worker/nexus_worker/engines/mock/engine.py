"""The mock as an engine: a queue, one prefill after the other, all decoding side by side.

It knows its answer beforehand and takes all blocks of it at once, so that nothing is ever preempted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from nexus_worker.engines.engine import Prefix, Sampling, Stats
from nexus_worker.engines.mock.admission import Admission, Wanted
from nexus_worker.engines.mock.pace import Pace
from nexus_worker.engines.mock.prefix_cache import BlockPool, Chain, chained
from nexus_worker.engines.mock.words import END, MockCodec, written
from nexus_worker.text import Codec


@dataclass(frozen=True)
class Memory:
    """The key-value cache."""

    block_size: int
    """Tokens of a block."""
    blocks: int
    keeps_prefixes: bool


class MockEngine:
    """The port `Engine`. It reads no clock but its event loop's."""

    name = "mock"

    def __init__(self, pace: Pace, memory: Memory, *, max_num_seqs: int, context: int) -> None:
        """The memory has room for one context at least."""
        self.codec: Codec = MockCodec()
        self.end_tokens: Collection[int] = frozenset({END})
        self.context = context
        self.defaults = Sampling(max_tokens=context)
        self._pace, self._memory = pace, memory
        self._admission = Admission(max_num_seqs, BlockPool(memory.blocks))
        self._prefill_turn = asyncio.Lock()
        self._decoding = 0

    def stats(self) -> Stats:
        return self._admission.stats()

    async def generate(self, prompt: Sequence[int], sampling: Sampling, prefix: Prefix) -> AsyncGenerator[int, None]:
        answer = written(prompt, sampling)
        chain = self._chain(prompt, prefix.salt)
        async with self._admission.take(self._wanted(prompt, answer, chain)) as lease:
            cached = lease.hits * self._memory.block_size
            prefix.cached = cached if self._memory.keeps_prefixes else None
            await self._prefill(len(prompt) - cached)
            lease.computed = chain
            given = 0
            try:
                async with aclosing(self._paced(answer)) as tokens:
                    async for token in tokens:
                        given += 1
                        yield token
            finally:
                # The model never read the last token, so that no block has it.
                read = [*prompt, *answer[: max(0, given - 1)]]
                lease.computed = self._chain(read, prefix.salt, chain)

    async def _prefill(self, uncached: int) -> None:
        await asyncio.sleep(self._pace.ttft_seconds)
        async with self._prefill_turn:  # also for nothing: what is cached may be what another computes just now
            await asyncio.sleep(self._pace.prefill_seconds(uncached))

    async def _paced(self, answer: Sequence[int]) -> AsyncGenerator[int, None]:
        """By times that are fixed beforehand: a late wake-up is caught up with, and the rate holds."""
        clock = asyncio.get_running_loop()
        due = clock.time()
        self._decoding += 1
        try:
            for number, token in enumerate(answer):
                if number:
                    due += self._pace.between_tokens(self._decoding)
                    await asyncio.sleep(max(0.0, due - clock.time()))
                yield token
        finally:
            self._decoding -= 1

    def _chain(self, tokens: Sequence[int], salt: str, before: Chain = ()) -> Chain:
        return chained(tokens, self._memory.block_size, salt, before) if self._memory.keeps_prefixes else ()

    def _wanted(self, prompt: Sequence[int], answer: Sequence[int], chain: Chain) -> Wanted:
        size = self._memory.block_size
        # The prompt's last token is computed anew, as by vLLM: the first word follows from it.
        return Wanted(chain, -(-(len(prompt) + len(answer)) // size), most_hits=(len(prompt) - 1) // size)
