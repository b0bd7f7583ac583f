"""The process: from a loaded engine to exit 0, with every answer finished that was begun."""

from __future__ import annotations

import logging
import socket
import time
from types import FrameType
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp

from nexus_worker.answering import Answering
from nexus_worker.errors import BadOption

_log = logging.getLogger("nexus.worker")
_BACKLOG = 2048


class Beside(Protocol):
    """Another server of the same engine, in the same event loop."""

    async def start(self) -> None:
        """Raises BadOption."""

    async def stop(self) -> None: ...


def listen(host: str, port: int) -> socket.socket:
    """Port 0 takes any free one. Raises BadOption where the address cannot be had."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=_BACKLOG
        )
    except OSError as error:
        raise BadOption("--port", port, f"{host} cannot be listened on: {error.strerror or error}") from error


def serve(
    answering: Answering,
    app: ASGIApp,
    listener: socket.socket,
    *,
    shutdown_timeout: float,
    beside: Beside | None = None,
) -> None:
    """`app` answers by `answering`. Returns after SIGTERM or SIGINT, once what was running is answered, or after
    `shutdown_timeout` seconds."""
    config = uvicorn.Config(
        app,
        http="httptools",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,  # by then only answers are left that ran out of their time
    )
    _Server(config, answering, shutdown_timeout, beside).run([listener])


class _Server(uvicorn.Server):
    """Drains before it stops listening: readiness probes and clients hear 503, which says more than a closed port."""

    def __init__(
        self, config: uvicorn.Config, answering: Answering, shutdown_timeout: float, beside: Beside | None
    ) -> None:
        super().__init__(config)
        self._beside = beside
        self._answering, self._shutdown_timeout = answering, shutdown_timeout
        self._deadline = float("inf")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._beside is not None:
            await self._beside.start()
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self._beside is not None:
            await self._beside.stop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, the second one stops at once."""
        if self._answering.draining:
            self.should_exit = self.force_exit = True
        self._answering.draining = True
        self._deadline = time.monotonic() + self._shutdown_timeout

    async def on_tick(self, counter: int) -> bool:
        drained = self._answering.draining and not self._answering.in_flight
        if time.monotonic() > self._deadline and not drained:
            _log.error("%d answers did not finish within %s s", self._answering.in_flight, self._shutdown_timeout)
            drained = True
        return await super().on_tick(counter) or drained
