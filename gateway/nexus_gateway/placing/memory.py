"""Which endpoints have answered a conversation last, remembered in Redis for all gateways together.

Open: nobody waits longer for it than 2 ms, and who gets no answer within that is placed by the rule alone. A Redis that
was late several times in a row is left alone for a second, as one that is down is. Why:
docs/decisions/0033-each-answer-is-noted-and-nobody-waits-for-it.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from struct import iter_unpack
from typing import Any

from nexus_gateway.exchange import Waiter, given
from nexus_gateway.placing.outcomes import Note, Recall
from nexus_gateway.redis_scripts import FAILURES, REST_SECONDS, Changed, RedisAway, RedisScripts

WAIT_SECONDS = 0.002
"""For which a request waits; its answer in Redis may come later, and then is of no use."""
MOST_PENDING = 1000
"""Notes that Redis has not taken yet; more are dropped."""
_BATCH_SECONDS = 0.05  # to connect takes longer than a request waits


class PlacementMemory:
    """For one asyncio loop. Where it has not begun it connects when it is first asked."""

    def __init__(
        self,
        url: str,
        changed: Changed,
        recalls: Callable[[Recall], None],
        notes: Callable[[Note], None],
        wait: float = WAIT_SECONDS,
    ) -> None:
        """`changed`: once at each change between up and down; `recalls` and `notes` are told what became of each;
        `wait`: seconds. Raises ValueError for a URL that is none."""
        self._scripts = RedisScripts(url, __package__, ("recall.lua", "note.lua"), changed, _BATCH_SECONDS)
        self._recalls, self._notes, self._wait = recalls, notes, wait
        self._late, self._rests_until = 0, 0.0
        self._pending = 0

    async def begin(self) -> None:
        """Connects, so that no request is late for that."""
        await self._scripts.begin()

    def recall(self, conversation: int) -> Waiter[Collection[int] | None]:
        """Seeds of the endpoints that have answered it lately, or where it begins now: none where it is new. Never
        fails; None where Redis has not said it in time."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._rests_until:
            self._recalls("away")
            return given(None)
        asked, found = self._scripts.run("recall.lua", _key(conversation)), Waiter[Collection[int] | None]()
        timer = loop.call_later(self._wait, self._too_late, found)

        def answered() -> None:
            timer.cancel()
            if not found.settled:
                self._recalled(asked, found)

        asked.then(answered)
        return found

    def note(self, conversation: int, seed: int, seconds: float) -> None:
        """Nobody waits for it."""
        if self._pending >= MOST_PENDING:
            self._notes("dropped")
            return
        self._pending += 1
        told = self._scripts.run("note.lua", _key(conversation), seed.to_bytes(8, "big"), int(seconds * 1000))

        def taken() -> None:
            self._pending -= 1
            self._notes("kept" if told.error is None else "lost")

        told.then(taken)

    async def close(self) -> None:
        await self._scripts.close()

    def _recalled(self, asked: Waiter[Any], found: Waiter[Collection[int] | None]) -> None:
        try:
            if asked.error is not None:
                raise asked.error
            seeds = tuple(seed for (seed,) in iter_unpack(">Q", asked.value or b""))
        except Exception as error:  # whatever a broken server says, nobody may wait for ever
            self._recalls("away")
            if not isinstance(error, RedisAway):
                self._was_late()
            found.give(None)
            return
        self._late = 0
        self._recalls("found" if seeds else "nothing")
        found.give(seeds)

    def _too_late(self, found: Waiter[Collection[int] | None]) -> None:
        if not found.settled:
            self._recalls("late")
            self._was_late()
            found.give(None)

    def _was_late(self) -> None:
        self._late += 1
        if self._late >= FAILURES:
            self._late = 0
            self._rests_until = asyncio.get_running_loop().time() + REST_SECONDS


def _key(conversation: int) -> str:
    """Of a hash, which names nobody."""
    return f"nexus:placement:{{{conversation:016x}}}"
