"""Load on one endpoint: in a closed loop so many clients ask one after another, in an open one requests come when they
come, whether or not those before them are answered."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass

import uvloop

from .connection import Answer, Connection, Target, tls
from .questions import Question

SECONDS = 120.0
"""After which an answer is given up."""
DROPPED = "dropped"
"""Not sent: too many others were under way."""


@dataclass(frozen=True)
class Load:
    """What one round has found."""

    answers: list[Answer]
    seconds: float
    own_share: float
    """Of a core, what this process itself took: near 1 it has measured itself."""


def closed_loop(target: Target, asked: Sequence[Question], clients: int, seconds: float = SECONDS) -> Load:
    """Each client is connected before the clock starts."""
    return uvloop.run(_closed(target, asked, clients, seconds))


def open_loop(
    target: Target,
    asked: Sequence[Question],
    due: Sequence[float],
    seconds: float = SECONDS,
    at_once: int | None = None,
) -> Load:
    """Latencies count from when a request was due. One that would be under way with `at_once` others is DROPPED."""
    return uvloop.run(_open(target, asked, due, seconds, at_once))


async def _closed(target: Target, asked: Sequence[Question], clients: int, seconds: float) -> Load:
    waiting, answers = iter([target.request(question) for question in asked]), list[Answer]()
    trust = tls(target.url)
    pools = [Pool(target, trust, seconds) for _ in range(clients)]
    for pool in pools:
        await pool.connect()

    async def client(pool: Pool) -> None:
        for request in waiting:
            answers.append(answer := Answer(time.perf_counter()))
            await pool.ask(request, answer)

    load = await _measured([client(pool) for pool in pools], answers)
    for pool in pools:
        await pool.close()
    return load


async def _open(
    target: Target, asked: Sequence[Question], due: Sequence[float], seconds: float, at_once: int | None
) -> Load:
    pool, answers, start = Pool(target, tls(target.url), seconds), list[Answer](), time.perf_counter()

    async def one(request: bytes, at: float) -> None:
        answers.append(answer := Answer(start + at))
        await asyncio.sleep(answer.due - time.perf_counter())
        if at_once is not None and pool.under_way >= at_once:
            answer.ended, answer.error = time.perf_counter(), DROPPED
            return
        await pool.ask(request, answer)

    waiting = [one(target.request(question), at) for question, at in zip(asked, due, strict=True)]
    load = await _measured(waiting, answers)
    await pool.close()
    return load


async def _measured(work: list[Coroutine[None, None, None]], answers: list[Answer]) -> Load:
    started, own = time.perf_counter(), time.process_time()
    await asyncio.gather(*work)
    seconds = time.perf_counter() - started
    return Load(answers, seconds, (time.process_time() - own) / seconds)


class Pool:
    """Connections that are free, of which the one that was used last is taken."""

    def __init__(self, target: Target, trust: ssl.SSLContext | None, seconds: float) -> None:
        self._target, self._trust, self._seconds = target, trust, seconds
        self._free, self._all = list[Connection](), list[Connection]()
        self.under_way = 0

    async def connect(self) -> None:
        """Where it fails, the request that comes next says so."""
        try:
            connection = await Connection.to(self._target, self._trust)
        except OSError:
            return
        # Not around the await: another request may have put a new list in place meanwhile.
        self._free.append(connection)
        self._all.append(connection)

    async def ask(self, request: bytes, answer: Answer, seconds: float | None = None) -> None:
        """`seconds`: after which it is given up, where that is not as for all."""
        self.under_way += 1
        try:
            await self._ask(request, answer, self._seconds if seconds is None else seconds)
        finally:
            self.under_way -= 1

    async def _ask(self, request: bytes, answer: Answer, seconds: float) -> None:
        self._free = [one for one in self._free if one.open]
        if not self._free:
            await self.connect()
        if not self._free:
            answer.ended, answer.error = time.perf_counter(), "not connected"
            return
        connection = self._free.pop()
        await connection.ask(request, answer, seconds)
        if connection.open:
            self._free.append(connection)

    async def close(self) -> None:
        """Returns when all are gone: a loop that closes before them is left with their sockets."""
        for connection in self._all:
            connection.close()
        for connection in self._all:
            await connection.lost.wait()
