"""uvicorn, with connections of our own and a clean end."""

from __future__ import annotations

import asyncio
import math
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from nexus_gateway.gateway import Gateway
from nexus_gateway.limited_protocol import IDLE_SECONDS, LimitedProtocol
from nexus_gateway.settings import Settings
from nexus_gateway.start import BACKLOG
from nexus_gateway.wire import WireProtocol


class _Server(uvicorn.Server):
    """On the first signal probes are told; after the drain time no request is begun any more, and those under way are
    finished. A second signal ends them."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway, drain_seconds: float) -> None:
        super().__init__(config)
        self._gateway, self._drain_seconds = gateway, drain_seconds
        self._leave_at = math.inf

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own raises the signal again at the end, so that a clean stop would look like a kill."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self._gateway.leaving
        self._gateway.leaving = True
        self._leave_at = time.monotonic() + (0 if self.force_exit else self._drain_seconds)

    async def on_tick(self, counter: int) -> bool:
        if time.monotonic() >= self._leave_at:
            self._gateway.draining = self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn leaves what is under way after a second signal to the loop, which knows of its own tasks only."""
        self._gateway.go_on_in_python()
        await super().shutdown(sockets)
        for under_way in tuple(self.server_state.tasks):
            under_way.cancel()
        await asyncio.sleep(0)


def make_server(app: ASGIApp, gateway: Gateway, settings: Settings, admin_port: int | None) -> uvicorn.Server:
    """`admin_port`: where operators have a port of their own."""
    gateway.native = settings.edge == "native"
    wire = partial(WireProtocol, gateway, admin_port)
    config = uvicorn.Config(
        app,
        http=LimitedProtocol if settings.edge == "asgi" else wire,  # type: ignore[arg-type]  # it is called, no more
        ws="none",
        loop="uvloop",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=settings.grace_seconds,
        backlog=BACKLOG,
    )
    return _Server(config, gateway, settings.drain_seconds)
