"""A gateway on real sockets in this loop, between a client and an engine of which every byte is the test's.

What an engine has said is with the gateway once `say` comes back: so the test knows which bytes came together.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import json
import socket
import struct
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from nexus_gateway.auth import Credentials
from nexus_gateway.breaker import BreakerSettings
from nexus_gateway.gateway import Gateway
from nexus_gateway.key_ring import KeyRing
from nexus_gateway.keys import Key, digest
from nexus_gateway.served import Served
from nexus_gateway.settings import Edge
from nexus_gateway.snapshot import build
from nexus_gateway.telemetry.audit import AuditLog
from nexus_gateway.telemetry.logs import LogWriter
from nexus_gateway.upstreams.connection import Connection
from nexus_gateway.upstreams.http import HttpUpstream
from nexus_gateway.wire import WireProtocol

from .gateway import posted
from .heard import Heard, heard
from .issuer import until

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
_BY_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what is closed is cut


class Socket:
    """One that waits for nothing but the loop."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner
        inner.setblocking(False)
        self.heard = b""

    async def _write(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._inner, data)

    async def read(self) -> bool:
        """Some more; False where nothing comes any more."""
        try:
            data = await asyncio.get_running_loop().sock_recv(self._inner, 1 << 16)
        except ConnectionError:
            data = b""
        self.heard += data
        return bool(data)

    async def until(self, wanted: bytes) -> bytes:
        while wanted not in self.heard:
            assert await self.read(), f"it was closed before {wanted!r}: {self.heard!r}"
        return self.heard

    async def rest(self) -> bytes:
        while await self.read():
            pass
        return self.heard

    def close(self) -> None:
        self._inner.close()

    def reset(self) -> None:
        self._inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _BY_RESET)
        self._inner.close()

    def half_close(self) -> None:
        self._inner.shutdown(socket.SHUT_WR)


class Client(Socket):
    def widen(self) -> None:
        """It has room from now on."""
        self._inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)

    async def ask(self, **fields: Any) -> None:
        """By an id of its own, for which an answer is Python's to begin."""
        said = {"model": "chat", "stream": True, "messages": [], **fields}
        await self._write(posted(json.dumps(said).encode(), b"x-request-id: mine\r\n"))

    async def whole(self) -> bytes:
        """All of an answer, to its end or to the connection's."""
        while not (found := heard(self.heard)) or not found[0].whole:
            if not await self.read():
                break
        return self.heard

    async def answer(self) -> Heard:
        """The first, to its end."""
        while not (found := heard(self.heard)) or not found[0].whole:
            assert await self.read(), f"it was closed before its end: {self.heard!r}"
        return found[0]


class Engine(Socket):
    """One connection of the gateway to the engine."""

    def __init__(
        self, inner: socket.socket, connections: dict[tuple[str, int], Connection], there: tuple[str, int]
    ) -> None:
        super().__init__(inner)
        self._connections, self._there = connections, there

    @property
    def there(self) -> Connection:
        """The gateway's end."""
        return self._connections[self._there]

    async def say(self, *pieces: bytes) -> None:
        """Each once the gateway has read the one before."""
        for piece in pieces:
            await self._write(piece)
            await self.is_read()

    def is_asked(self) -> bool:
        try:
            return self._there in self._connections and bool(self._inner.recv(1, socket.MSG_PEEK))
        except OSError:  # nothing, or it is closed
            return False

    def put(self, data: bytes) -> None:
        """Before the gateway reads anything more. Not more than fits between the two."""
        assert self._inner.send(data) == len(data)

    async def pour(self, data: bytes) -> None:
        """As fast as it is taken."""
        await self._write(data)

    async def is_read(self) -> None:
        while _unread(self.there):  # noqa: ASYNC110 - who has read tells nobody
            await asyncio.sleep(0)


class World:
    def __init__(self, gateway: Gateway, folder: Path, engine: socket.socket) -> None:
        self.gateway, self._folder, self._engine = gateway, folder, engine
        self.protocols: list[WireProtocol] = []
        self.connections: dict[tuple[str, int], Connection] = {}
        """Of the gateway to its engine, by their own addresses."""
        self.address = "", 0
        self.faults: list[dict[str, Any]] = []
        """What the loop was told of."""
        self._made: list[Socket] = []
        self._engines: list[Engine] = []

    async def client(self, room: int = 0) -> Client:
        """`room`: bytes that its socket takes before it is read."""
        inner = socket.socket()
        if room:
            inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        inner.setblocking(False)
        await asyncio.get_running_loop().sock_connect(inner, self.address)
        return self._keep(Client(inner))

    async def engine(self) -> Engine:
        """The next to be asked: a new connection, or one that was kept."""
        await until(lambda: self._is_asked() is not None)
        asked = self._is_asked()
        assert asked is not None
        asked.heard = b""
        await asked.until(b"}")
        return asked

    def _is_asked(self) -> Engine | None:
        with suppress(BlockingIOError):
            inner, there = self._engine.accept()
            inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._engines.append(self._keep(Engine(inner, self.connections, there)))
        return next((one for one in self._engines if one.is_asked()), None)

    async def streaming(self, *said: bytes, room: int = 0, **fields: Any) -> tuple[Client, Engine]:
        """A stream whose head has come, and what is `said` behind it."""
        client = await self.client(room)
        await client.ask(**fields)
        engine = await self.engine()
        await engine.say(HEAD + b"".join(said))
        if said:
            await client.until(said[-1])
        return client, engine

    async def figures(self) -> str:
        """As /metrics tells them."""
        return (await self.gateway.metrics.render()).decode()

    def lines(self) -> list[dict[str, Any]]:
        """Of the log."""
        self.gateway.logs._flush()
        return [json.loads(line) for line in self.gateway.logs._out.getvalue().splitlines()]

    def audited(self) -> list[dict[str, Any]]:
        assert self.gateway.audit is not None
        self.gateway.audit._flush()
        lines = [json.loads(line) for file in self._folder.iterdir() for line in file.read_text().splitlines()]
        return [line for line in lines if line["kind"] == "decision"]

    async def line(self) -> dict[str, Any]:
        """Of the first request, once it has ended."""
        await until(lambda: bool(self.lines()))
        return self.lines()[0]

    def _keep(self, made: Any) -> Any:
        self._made.append(made)
        return made

    async def leave(self) -> None:
        """All have, once it comes back."""
        for one in self._made:
            one.close()
        await until(lambda: not self.gateway.metrics.in_flight)
        await until(lambda: all(one.transport.is_closing() for one in self.protocols))


@asynccontextmanager
async def hand_fed(folder: Path, edge: Edge, **timeouts: float) -> AsyncIterator[World]:
    """`timeouts`: of the route."""
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    listening.setblocking(False)
    gateway = _gateway(folder, listening.getsockname()[1], timeouts)
    gateway.native = edge == "native"
    world = World(gateway, folder, listening)
    loop.set_exception_handler(lambda _, told: world.faults.append(told))
    pool = gateway.upstream(gateway.served.current, gateway.served.current.table.upstreams["engine"].endpoints[0])
    assert isinstance(pool, HttpUpstream)
    _tell_of_connections(pool, world)
    server = await loop.create_server(_clients_of(world), "127.0.0.1", 0)
    world.address = server.sockets[0].getsockname()
    try:
        yield world
    finally:
        server.close()
        await world.leave()
        pool.close()
        listening.close()
        assert gateway.audit is not None
        gateway.audit.close()


def _gateway(folder: Path, port: int, timeouts: dict[str, float]) -> Gateway:
    file = {
        "upstreams": {"engine": {"url": f"http://127.0.0.1:{port}"}},
        "routes": {"chat": {"strategy": "direct", "upstream": "engine", "timeouts": timeouts}},
    }
    served = Served(build({"chat.yaml": json.dumps(file).encode()}, {}, 10.0, {}))
    known = Credentials(KeyRing({digest(b"dev-key"): Key("dev-key", None, admin=False)}))
    audit = AuditLog(folder, b"salt" * 8, "hand-fed")
    return Gateway(served, known, BreakerSettings(max_failures=1000), LogWriter(StringIO()), audit)


def _tell_of_connections(pool: HttpUpstream, world: World) -> None:
    connect = pool.connect

    async def connected(seconds: float) -> Connection:
        made = await connect(seconds)
        world.connections[_transport(made).get_extra_info("sockname")] = made
        return made

    pool.connect = connected  # type: ignore[method-assign]  # the pool's own, and told of


def _clients_of(world: World) -> Callable[[], WireProtocol]:
    async def no_app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("nothing here is for FastAPI")

    config = uvicorn.Config(no_app, log_config=None, lifespan="off", server_header=False)
    config.load()
    state = ServerState()

    def client() -> WireProtocol:
        loop = asyncio.get_running_loop()
        made = WireProtocol(world.gateway, None, config=config, server_state=state, app_state={}, _loop=loop)
        world.protocols.append(made)
        return made

    return client


def _transport(connection: Connection) -> asyncio.Transport:
    assert connection._transport is not None
    return connection._transport


def _unread(connection: Connection) -> int:
    """Bytes that have come for it."""
    if not connection.alive:
        return 0
    count = array.array("i", [0])
    fcntl.ioctl(_transport(connection).get_extra_info("socket").fileno(), termios.FIONREAD, count)
    return count[0]
