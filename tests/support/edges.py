"""A gateway's edges in this process and without sockets: which bytes come together, and when a clock rings, is the
test's to say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from nexus_gateway import native
from nexus_gateway.app import create_app
from nexus_gateway.gateway import Gateway
from nexus_gateway.limited_protocol import LimitedProtocol
from nexus_gateway.settings import Edge
from nexus_gateway.wire import WireProtocol

from .heard import Heard, heard

_BUILT = pytest.mark.skipif(not native.is_built(), reason="nexus-native is not built: make setup-dev says why")
OURS = (pytest.param("native", marks=_BUILT), "wire")
"""The edges whose sockets are the gateway's own."""


class Transport(asyncio.Transport):
    """Takes what is written, up to `room` bytes before it asks for a pause."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: asyncio.Protocol | None = None
        self.sent, self.room = b"", 1 << 30
        self.closing = self.cut = self.full = False
        self.reading = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"sockname": ("127.0.0.1", 8000), "peername": ("203.0.113.7", 50000)}.get(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.closing:
            return
        self.sent += data
        self.room -= len(data)
        if self.room < 0 and not self.full and self.protocol is not None:
            self.full = True
            self.protocol.pause_writing()

    def take(self, room: int = 1 << 30) -> None:
        """The client takes all that was written, and `room` bytes more."""
        self.room = room
        if self.full and self.protocol is not None:
            self.full = False
            self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        """What came beyond its room."""
        return max(0, -self.room)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return 0, max(0, self.room)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing and self.protocol is not None:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.cut = True
        self.close()

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


@dataclass
class Clock:
    seconds: float
    callback: Callable[..., None]
    arguments: tuple[Any, ...]
    stopped: bool = False

    def cancel(self) -> None:
        self.stopped = True

    def ring(self) -> None:
        self.stopped = True
        self.callback(*self.arguments)


@dataclass
class Clocks:
    """The running loop, but its time stands still, and its clocks ring when they are told to."""

    now: float = 1000.0
    every: list[Clock] = field(default_factory=list)

    def call_later(self, seconds: float, callback: Callable[..., None], *arguments: Any) -> Clock:
        self.every.append(Clock(seconds, callback, arguments))
        return self.every[-1]

    def time(self) -> float:
        return self.now

    def running(self, seconds: float) -> list[Clock]:
        return [clock for clock in self.every if clock.seconds == seconds and not clock.stopped]

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio.get_running_loop(), name)


class Server:
    """One gateway behind one edge; `pages` are the paths that FastAPI was asked for."""

    def __init__(
        self, edge: Edge, gateway: Gateway, admin_port: int | None = None, *, app: ASGIApp | None = None
    ) -> None:
        """`app`: in place of the gateway's own, which takes long to be put together, where nobody asks for a page."""
        self.pages: list[str] = []
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"today")]
        self._edge, self._gateway, self._admin_port = edge, gateway, admin_port
        app = app or create_app(gateway)

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            self.pages.append(scope["path"])
            await app(scope, receive, send)

        self._config = uvicorn.Config(
            counted, log_config=None, access_log=False, ws="none", lifespan="off", server_header=False,
            proxy_headers=False, timeout_keep_alive=75,
        )  # fmt: skip
        self._config.load()

    def connect(self) -> Connection:
        clocks = Clocks()
        given = {"config": self._config, "server_state": self.state, "app_state": {}, "_loop": clocks}
        make = LimitedProtocol if self._edge == "asgi" else partial(WireProtocol, self._gateway, self._admin_port)
        return Connection(make(**given), clocks)


class Connection:
    def __init__(self, protocol: LimitedProtocol, clocks: Clocks) -> None:
        self.protocol, self.clocks, self.transport = protocol, clocks, Transport()
        self.transport.protocol = protocol
        protocol.connection_made(self.transport)

    async def say(self, *pieces: bytes) -> None:
        """One after the other, each when the one before is worked off and the gateway reads on."""
        for piece in pieces:
            await settled()
            if self.transport.closing:
                return
            self.protocol.data_received(piece)
        await settled()

    def heard(self) -> list[Heard]:
        return heard(self.transport.sent)

    async def leave(self) -> None:
        self.transport.close()
        await settled()


async def settled() -> None:
    """Until nothing is left that could run without a socket or a clock."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # there is no other word for it
    while True:
        await asyncio.sleep(0)
        if not ready:
            return
