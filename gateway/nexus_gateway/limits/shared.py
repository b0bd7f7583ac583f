"""Counts in Redis, for all gateways together; in this process while Redis does not answer.

Everything that waits is sent at once, over one connection: a decision costs Redis one script and this process no
connection of its own. Open by default: while Redis is away each gateway limits by itself, so that N of them admit up to
N times as much. One batch waits 50 ms at most, or as long as is set; after some failures Redis is left alone for a
second, so that an outage costs nobody more. Who is told: `changed`, once at each change between up and down.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from nexus_gateway.exchange import Waiter
from nexus_gateway.limits.limiter import Reservation
from nexus_gateway.limits.memory import MemoryLimiter
from nexus_gateway.limits.windows import WINDOW_SECONDS, Counted, Limits, Verdict, judged

DECISION_SECONDS = 0.05
FAILURES = 3
"""In a row, after which Redis is left alone."""
REST_SECONDS = 1.0
_BATCH = 512
_LAST_SECONDS = 1.0  # for the corrections that are left when the gateway stops
_MOST_WAITING = 10_000  # of each kind; more decide alone, more corrections are lost and counted

Changed = Callable[[bool, str], None]
"""(Redis is up, why not)."""
Decision = tuple[Verdict, Reservation | None]


@dataclass(frozen=True, slots=True)
class _Question:
    bucket: str
    limits: Limits
    tokens: int
    waiter: Waiter[Decision]


class RedisLimiter:
    """The port `Limiter`, for one asyncio loop."""

    def __init__(
        self,
        url: str,
        changed: Changed,
        *,
        fail_open: bool = True,
        deadline: float = DECISION_SECONDS,
        window: float = WINDOW_SECONDS,
    ) -> None:
        """`deadline` of one batch, and `window`, in seconds. Raises ValueError for a URL that is none."""
        self._redis = Redis.from_url(
            url,
            socket_timeout=deadline,
            socket_connect_timeout=deadline,
            single_connection_client=True,
            retry=None,
        )
        self._scripts = {name: _Script(name) for name in ("decide.lua", "correct.lua")}
        self._changed, self._fail_open, self._deadline, self._window = changed, fail_open, deadline, window
        self._alone = MemoryLimiter(window=window)
        self._questions: list[_Question] = []
        self._corrections: list[tuple[Reservation, int, int]] = []
        self._pump: asyncio.Task[None] | None = None
        self._up, self._failures, self._rests_until = True, 0, 0.0
        self.lost = 0
        """Corrections that Redis did not take."""

    @property
    def up(self) -> bool:
        return self._up

    async def begin(self) -> None:
        """Connects and brings the scripts, so that no request's 50 ms go into that. A gateway starts without Redis."""
        try:
            async with asyncio.timeout(REST_SECONDS):
                await self._load()
        except Exception as error:  # as in `_empty`
            self._failed(error, 0)

    def reserve(self, bucket: str, limits: Limits, tokens: int) -> Waiter[Decision]:
        if asyncio.get_running_loop().time() < self._rests_until or len(self._questions) >= _MOST_WAITING:
            return self._without(bucket, limits, tokens)
        waiter: Waiter[Decision] = Waiter()
        self._questions.append(_Question(bucket, limits, tokens, waiter))
        self._wake()
        return waiter

    def settle(self, reservation: Reservation, tokens: int) -> None:
        if not reservation.shared:
            self._alone.settle(reservation, tokens)
        elif not reservation.settled:
            self._correct(reservation, 0, max(0, tokens) - reservation.tokens)

    def refund(self, reservation: Reservation) -> None:
        if not reservation.shared:
            self._alone.refund(reservation)
        elif not reservation.settled:
            self._correct(reservation, -1, -reservation.tokens)

    async def close(self) -> None:
        """Brings the last corrections; those that Redis does not take in time are lost and counted."""
        if self._pump is not None:
            await asyncio.wait({self._pump}, timeout=_LAST_SECONDS)
            self._pump.cancel()
        self.lost += len(self._corrections)
        self._corrections.clear()
        with suppress(Exception):  # the client's own, whatever its connection is like
            await self._redis.aclose()

    def _correct(self, reservation: Reservation, requests: int, tokens: int) -> None:
        reservation.settled = True
        if len(self._corrections) >= _MOST_WAITING:
            self.lost += 1
        elif requests or tokens:
            self._corrections.append((reservation, requests, tokens))
            self._wake()

    def _wake(self) -> None:
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._empty())

    async def _empty(self) -> None:
        """Sends what waits, batch by batch, until nothing does."""
        while self._questions or self._corrections:
            questions, self._questions = self._questions[:_BATCH], self._questions[_BATCH:]
            corrections, self._corrections = self._corrections[:_BATCH], self._corrections[_BATCH:]
            try:
                async with asyncio.timeout(self._deadline):
                    answers = await self._send(questions, corrections)
                verdicts = [self._verdict(*pair) for pair in zip(questions, answers, strict=True)]
            except Exception as error:  # a broken server can break its client in any way; nobody may wait for ever
                self._failed(error, len(corrections))
                for asked in questions:
                    asked.waiter.give(self._without(asked.bucket, asked.limits, asked.tokens).value)
                continue
            self._answered()
            for asked, verdict in zip(questions, verdicts, strict=True):
                asked.waiter.give(verdict)

    async def _send(self, questions: list[_Question], corrections: list[tuple[Reservation, int, int]]) -> list[Any]:
        """Redis's answers to the questions."""
        decide, correct = self._scripts["decide.lua"], self._scripts["correct.lua"]
        pipe = self._redis.pipeline(transaction=False)
        for asked in questions:
            most = [-1 if limit is None else limit for limit in (asked.limits.requests, asked.limits.tokens)]
            pipe.execute_command(
                "EVALSHA", decide.sha, 1, _key(asked.bucket), int(self._window * 1000), *most, asked.tokens
            )
        for reservation, requests, tokens in corrections:
            pipe.execute_command(
                "EVALSHA", correct.sha, 1, _key(reservation.bucket), reservation.window, requests, tokens
            )
        answers = await pipe.execute(raise_on_error=False)
        if any(isinstance(answer, NoScriptError) for answer in answers):  # a Redis that has just started
            await self._load()
            return await self._send(questions, corrections)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return list(answers[: len(questions)])

    async def _load(self) -> None:
        for script in self._scripts.values():
            await self._redis.script_load(script.text)

    def _verdict(self, asked: _Question, answer: Any) -> Decision:
        admitted, elapsed, requests, requests_before, tokens, tokens_before, number = map(int, answer)
        verdict = judged(
            Counted(requests, requests_before),
            Counted(tokens, tokens_before),
            asked.limits,
            asked.tokens,
            elapsed / 1000,
            self._window,
        )
        return verdict, Reservation(asked.bucket, asked.tokens, number, shared=True) if admitted else None

    def _without(self, bucket: str, limits: Limits, tokens: int) -> Waiter[Decision]:
        if self._fail_open:
            return self._alone.reserve(bucket, limits, tokens)
        waiter: Waiter[Decision] = Waiter()
        waiter.give((Verdict(False, "unavailable", 1), None))
        return waiter

    def _failed(self, error: BaseException, lost: int) -> None:
        self.lost += lost
        self._failures += 1
        if self._failures >= FAILURES:
            self._rests_until = asyncio.get_running_loop().time() + REST_SECONDS
        if self._up:
            self._up = False
            self._changed(False, type(error).__name__)

    def _answered(self) -> None:
        self._failures = 0
        if not self._up:
            self._up = True
            self._changed(True, "")


class _Script:
    def __init__(self, name: str) -> None:
        self.text = files(__package__).joinpath(name).read_text(encoding="utf-8")
        self.sha = hashlib.sha1(self.text.encode()).hexdigest()  # noqa: S324 - the name that Redis gives to a script


def _key(bucket: str) -> str:
    """A name of fixed form and length, whatever the bucket is called; `{}` keeps its keys on one node of a cluster."""
    return f"nexus:limit:{{{hashlib.sha256(bucket.encode(errors='surrogatepass')).hexdigest()[:32]}}}"
