"""The gateway of `two_ways.py` on real sockets in this loop, between clients and an engine that answers by a script."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import socket
import termios
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from nexus_gateway.limits.memory import MemoryLimiter
from nexus_gateway.settings import Edge
from nexus_gateway.straight.compiled import Compiled
from nexus_gateway.straight.exchange import StraightExchange
from nexus_gateway.upstreams.connection import Connection
from nexus_gateway.wire import WireProtocol

from .hand_fed import Socket
from .heard import heard
from .issuer import until
from .two_ways import LEAVES, LOST, OK, Told, gateway, posted, told_by

Clock = Callable[[], float]
Piece = Any
"""Bytes; `LOST` or `LEAVES`; or an event that is waited for."""


class Client(Socket):
    """One of the gateway's, with the protocol that it talks to."""

    def __init__(self, inner: socket.socket) -> None:
        super().__init__(inner)
        self.protocol: WireProtocol | None = None
        self.closed = False

    def say_at_once(self, data: bytes) -> None:
        assert self._inner.send(data) == len(data)

    async def say(self, data: bytes) -> None:
        await self._write(data)

    async def answers(self, count: int) -> list[int]:
        """The status of each so far, once there are so many whole ones, or no more can come."""
        while not self.closed and sum(one.whole for one in heard(self.heard)) < count:
            self.closed = not await self.read()
        found = heard(self.heard)
        self.closed |= bool(found) and found[-1].first(b"connection") == b"close"
        return [one.status for one in found]

    def narrow(self) -> None:
        """It takes no more than a few thousand bytes, before it is read."""
        assert self.protocol is not None
        self._inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        _socket_of(self.protocol.transport).setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)


class Engine:
    """Answers what it is asked over any connection by the next of its `answers`, or by `usual` where there is none."""

    def __init__(self, told: dict[Any, Connection]) -> None:
        self.answers, self.usual, self.asked = deque[tuple[Piece, ...]](), (OK,), list[bytes]()
        self.made = list[_Asked]()
        self.leave: Callable[[], None] = lambda: None
        self.there = told

    async def listen(self, room: int) -> asyncio.Server:
        """`room`: bytes that its sockets take before they are read; 0 for as many as usual."""
        listening = socket.socket()
        if room:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        listening.bind(("127.0.0.1", 0))
        return await asyncio.get_running_loop().create_server(lambda: _Asked(self), sock=listening)

    def answer_to(self, asked: bytes) -> tuple[Piece, ...]:
        self.asked.append(asked)
        return self.answers.popleft() if self.answers else self.usual


class _Asked(asyncio.Protocol):
    """One connection of the gateway's."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._came, self._tasks = engine, b"", set[asyncio.Task[None]]()
        self.gone = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._engine.made.append(self)

    def data_received(self, data: bytes) -> None:
        self._came += data
        while (whole := _whole(self._came)) and len(self._came) >= whole:
            asked, self._came = self._came[:whole], self._came[whole:]
            self._tasks.add(asyncio.get_running_loop().create_task(self._answer(self._engine.answer_to(asked))))

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True

    def say_no_more(self) -> None:
        for task in self._tasks:
            task.cancel()

    def narrow(self) -> None:
        """Of what is written to it, little waits in the gateway's socket."""
        there = self._engine.there[self.transport.get_extra_info("peername")]
        _socket_of(there._transport).setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    def read_at_once(self) -> None:
        """What has come, before the loop does anything else."""
        with suppress(BlockingIOError):
            while data := os.read(_socket_of(self.transport).fileno(), 1 << 16):
                self.data_received(data)

    async def _answer(self, pieces: tuple[Piece, ...]) -> None:
        for piece in pieces:
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            elif piece is LEAVES:
                self._engine.leave()
            elif piece is LOST:
                self.transport.close()
            elif not self.gone:
                self.transport.write(piece)
                await self._is_read()

    async def _is_read(self) -> None:
        there = self._engine.there.get(self.transport.get_extra_info("peername"))
        while there is not None and there.alive and _unread(_socket_of(there._transport)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        await asyncio.sleep(0)


class Drive:
    """`served`: how many requests C has begun since it took over a client last. `handed_over`: how many of all went on
    in Python."""

    def __init__(self, edge: Edge, limiter: MemoryLimiter) -> None:
        self.edge, self.limiter, self.served, self.handed_over = edge, limiter, 0, 0
        self.engine = Engine({})
        self.clients: list[Client] = []
        self.protocols: list[WireProtocol] = []
        self.faults: list[dict[str, Any]] = []
        """What the loop was told of."""

    async def client(self) -> Client:
        inner, known = socket.socket(), len(self.protocols)
        inner.setblocking(False)
        await asyncio.get_running_loop().sock_connect(inner, self.address)
        await until(lambda: len(self.protocols) > known)
        made = Client(inner)
        made.protocol = self.protocols[-1]
        self.clients.append(made)
        return made

    async def ask(self, client: Client, request: bytes, *answer: Piece) -> list[int]:
        """Once it is answered, or is not any more, and nothing is under way."""
        if answer:
            self.engine.answers.append(answer)
        self.engine.leave = client.close
        before = sum(one.whole for one in heard(client.heard))
        if LEAVES in answer:
            known = len(self.engine.asked)
            await client.say(request)
            await until(lambda: len(self.engine.asked) > known and client._inner.fileno() < 0)
            client.closed = True
        else:
            await client.say(request)
            await client.answers(before + 1)
        await self.rests(client)
        return [one.status for one in heard(client.heard)]

    async def rests(self, client: Client) -> None:
        """Nothing is under way, and C has the connection wherever it wants to."""
        await until(lambda: not self.gateway.metrics.in_flight)
        for _ in range(6):
            await asyncio.sleep(0)

    async def rests_reading(self, client: Client) -> None:
        """All that the client has said was read."""
        assert client.protocol is not None
        while _unread(_socket_of(client.protocol.transport)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)

    async def connected(self, count: int) -> None:
        """So many connections to the engine rest."""
        comes, clients = asyncio.Event(), [await self.client() for _ in range(count)]
        self.engine.answers.extend([(comes, OK)] * count)
        for client in clients:
            await client.say(posted())
        await until(lambda: len(self.engine.asked) == count)
        comes.set()
        for client in clients:
            await client.answers(1)
            await self.rests(client)

    async def taken_over(self, request: bytes) -> Client:
        """A client whose next request C takes, on the edge that has it: the first of two was sent by Python."""
        client = await self.client()
        for number in (1, 2):
            assert await self.ask(client, request) == [200] * number
        assert client.protocol is not None
        assert (client.protocol._line is not None) is (self.edge == "native")
        self.served = 0
        return client

    async def told(self) -> Told:
        said = b"".join(client.heard for client in self.clients)
        closed = any(client.closed for client in self.clients)
        return await told_by(self.gateway, self.limiter, said, self.engine.asked, closed)


def stopped() -> float:
    """A clock: each request of a story is in one window."""
    return 1000.0


@asynccontextmanager
async def driven(
    folder: Path,
    edge: Edge,
    more: Mapping[str, Any] | None = None,
    room: int = 0,
    limiter: Callable[[Clock], MemoryLimiter] = MemoryLimiter,
    clock: Clock = stopped,
) -> AsyncIterator[Drive]:
    """`more`: in the route file. `room`: of the engine's sockets."""
    loop, patch = asyncio.get_running_loop(), pytest.MonkeyPatch()
    drive = Drive(edge, limiter(clock))
    loop.set_exception_handler(lambda _, told: drive.faults.append(told))
    _watch(patch, drive)
    engine = await drive.engine.listen(room)
    drive.place = f"127.0.0.1:{engine.sockets[0].getsockname()[1]}"
    drive.gateway = gateway(folder, drive.limiter, drive.place, more)
    drive.gateway.native = edge == "native"
    server = await loop.create_server(_clients_of(drive), "127.0.0.1", 0)
    drive.address = server.sockets[0].getsockname()
    try:
        yield drive
    finally:
        for client in drive.clients:
            client.close()
        server.close()
        await until(lambda: not drive.gateway.metrics.in_flight)
        await until(lambda: all(one.transport.is_closing() for one in drive.protocols))
        await drive.gateway.close()
        engine.close()
        for asked in drive.engine.made:
            asked.say_no_more()
        patch.undo()


async def on_both(
    folder: Path,
    story: Callable[[Drive], Awaitable[None]],
    room: int = 0,
    limiter: Callable[[Clock], MemoryLimiter] = MemoryLimiter,
) -> tuple[Told, Told, int]:
    """What a gateway tells of it with C and without it, and how many of its requests C has begun."""
    found, served = list[Told](), 0
    edges: tuple[Edge, Edge] = ("native", "wire")
    for edge in edges:
        async with driven(folder / edge, edge, room=room, limiter=limiter) as drive:
            await story(drive)
            await drive.rests(drive.clients[-1])
            found.append(await drive.told())
            served += drive.served
            assert drive.faults == [], drive.faults
            assert all(not state.in_flight for state in drive.gateway.endpoints._states.values())
    return found[0], found[1], served


def _watch(patch: pytest.MonkeyPatch, drive: Drive) -> None:
    """Counts what C has begun: what it tells of, and what it hands over to Python."""
    tell, left, made = Compiled._tell, WireProtocol._left_by_c, Connection.connection_made

    def told(self: Compiled, lines: bytearray, count: int, decisions: Any) -> None:
        drive.served += count
        tell(self, lines, count, decisions)

    def leaves(self: WireProtocol, *given: Any) -> StraightExchange:
        drive.served += 1
        drive.handed_over += 1
        return left(self, *given)

    def connected(self: Connection, transport: Any) -> None:
        made(self, transport)
        drive.engine.there[transport.get_extra_info("sockname")] = self

    patch.setattr(Compiled, "_tell", told)
    patch.setattr(WireProtocol, "_left_by_c", leaves)
    patch.setattr(Connection, "connection_made", connected)


def _clients_of(drive: Drive) -> Callable[[], WireProtocol]:
    async def no_app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("nothing here is for FastAPI")

    config = uvicorn.Config(no_app, log_config=None, lifespan="off", server_header=False, timeout_keep_alive=75)
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"today")]

    def client() -> WireProtocol:
        loop = asyncio.get_running_loop()
        made = WireProtocol(drive.gateway, None, config=config, server_state=state, app_state={}, _loop=loop)
        drive.protocols.append(made)
        return made

    return client


def in_a_loop(test: Callable[..., Any]) -> Callable[..., None]:
    """What never comes fails it."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        uvloop.run(asyncio.wait_for(test(*args, **kwargs), 120))

    return run


def _socket_of(transport: Any) -> socket.socket:
    found: socket.socket = transport.get_extra_info("socket")
    return found


def _whole(asked: bytes) -> int:
    """Bytes of the first request; 0 where its head is not there."""
    head, end, _ = asked.partition(b"\r\n\r\n")
    return len(head) + len(end) + int(head.rpartition(b"content-length: ")[2].split(b"\r\n")[0]) if end else 0


def _unread(found: socket.socket) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(found.fileno(), termios.FIONREAD, count)
    return count[0]
