"""Runs scripts in one Redis: everything that waits is sent at once, over one connection, within a deadline.

After some failures in a row Redis is left alone for a second, so that an outage costs nobody more than that. Who is
told: `changed`, once at each change between up and down.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from nexus_gateway.exchange import Waiter, failed
from nexus_gateway.redis_address import redis_at

FAILURES = 3
"""In a row, after which Redis is left alone."""
REST_SECONDS = 1.0
_BATCH, _BATCH_BYTES = 512, 4 << 20
_MOST_WAITING = 10_000
_LAST_SECONDS = 1.0  # for what waits when the gateway stops

Changed = Callable[[bool, str], None]
"""(Redis is up, why not)."""
Argument = str | bytes | int


class RedisAway(Exception):
    """Not asked: Redis is left alone, or too much waits for it."""


@dataclass(frozen=True, slots=True)
class _Run:
    script: str
    key: str
    arguments: tuple[Argument, ...]
    waiter: Waiter[Any]


class RedisScripts:
    """For one asyncio loop."""

    def __init__(self, url: str, package: str, names: Sequence[str], changed: Changed, deadline: float) -> None:
        """`names` of files in `package`; `deadline` of one batch, in seconds. Raises ValueError for a URL that is
        none."""
        self._redis = redis_at(url, single=True, socket_timeout=deadline, socket_connect_timeout=deadline, retry=None)
        self._texts = {name: files(package).joinpath(name).read_text(encoding="utf-8") for name in names}
        self._shas = {name: _sha(text) for name, text in self._texts.items()}
        self._changed, self._deadline = changed, deadline
        self._waiting: list[_Run] = []
        self._pump: asyncio.Task[None] | None = None
        self._failures, self._rests_until = 0, 0.0
        self.up, self._closed = True, False

    @property
    def asked(self) -> bool:
        """False while Redis is left alone."""
        return asyncio.get_running_loop().time() >= self._rests_until

    async def begin(self) -> None:
        """Connects and brings the scripts, so that no request's time goes into that. A gateway starts without Redis."""
        try:
            async with asyncio.timeout(REST_SECONDS):
                await self._load()
        except Exception as error:  # as in `_empty`
            self._failed(error)

    def run(self, script: str, key: str, *arguments: Argument) -> Waiter[Any]:
        """What the script gives, in the order of asking. Fails with whatever went wrong; nothing is asked twice."""
        if self._closed or not self.asked or len(self._waiting) >= _MOST_WAITING:
            return failed(RedisAway())
        waiter: Waiter[Any] = Waiter()
        self._waiting.append(_Run(script, key, arguments, waiter))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._empty())
        return waiter

    async def close(self) -> None:
        """Sends what waits, for a bounded time; what is left then fails, and nothing more is asked."""
        self._closed = True
        if self._pump is not None:
            await asyncio.wait({self._pump}, timeout=_LAST_SECONDS)
            self._pump.cancel()
        for run in self._waiting:
            run.waiter.fail(RedisAway())
        self._waiting.clear()
        with suppress(Exception):  # the client's own, whatever its connection is like
            await self._redis.aclose()

    async def _empty(self) -> None:
        """Sends what waits, batch by batch, until nothing does."""
        while self._waiting:
            batch = self._batch()
            try:
                async with asyncio.timeout(self._deadline):
                    answered = list(zip(batch, await self._send(batch), strict=True))
            except Exception as error:  # a broken server can break its client in any way; nobody may wait for ever
                self._failed(error)
                for run in batch:
                    run.waiter.fail(error)
                continue
            self._answered()
            for run, answer in answered:
                run.waiter.give(answer)

    def _batch(self) -> list[_Run]:
        count = size = 0
        while count < min(_BATCH, len(self._waiting)) and size < _BATCH_BYTES:
            size += sum(len(part) for part in self._waiting[count].arguments if isinstance(part, bytes))
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    async def _send(self, batch: list[_Run]) -> list[Any]:
        pipe = self._redis.pipeline(transaction=False)
        for run in batch:
            pipe.execute_command("EVALSHA", self._shas[run.script], 1, run.key, *run.arguments)
        answers = await pipe.execute(raise_on_error=False)
        if any(isinstance(answer, NoScriptError) for answer in answers):  # a Redis that has just started
            await self._load()
            return await self._send(batch)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return list(answers)

    async def _load(self) -> None:
        for text in self._texts.values():
            await self._redis.script_load(text)

    def _failed(self, error: BaseException) -> None:
        self._failures += 1
        if self._failures >= FAILURES:
            self._rests_until = asyncio.get_running_loop().time() + REST_SECONDS
        if self.up:
            self.up = False
            self._changed(False, type(error).__name__)

    def _answered(self) -> None:
        self._failures = 0
        if not self.up:
            self.up = True
            self._changed(True, "")


def _sha(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - the name that Redis gives to a script
