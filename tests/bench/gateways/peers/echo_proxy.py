"""The least that a proxy in Python can do: two asyncio.Protocols on uvloop, heads parsed by hand, no feature at all.

    python -m tests.bench.gateways.peers.echo_proxy PORT ENGINE_PORT

What `make bench-guard` holds Nexus against: both pay the same for the interpreter, the loop and the kernel, so that
their ratio is steadier than one to a server in C.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import cast

import uvloop

_END_OF_HEAD = b"\r\n\r\n"
_LAST_FRAME = b"0\r\n\r\n"


def body_size(head: bytes) -> int | None:
    """Of Content-Length; None where there is none."""
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else None


class EngineSide(asyncio.Protocol):
    """A connection to the engine: in use by one client, or in `idle`."""

    def __init__(self, idle: list[EngineSide]) -> None:
        self._idle = idle
        self.client: ClientSide | None = None
        self._left: int | None = 0
        self._tail = b""
        self._head_read = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass of it

    def send(self, client: ClientSide, request: bytes) -> None:
        self.client, self._head_read, self._tail = client, False, b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self.client is None:
            return
        self.client.transport.write(data)
        if not self._head_read:
            data = self._tail + data
            head, found, body = data.partition(_END_OF_HEAD)
            if not found:
                self._tail = data
                return
            self._head_read, self._left, self._tail, data = True, body_size(head), b"", body
        if self._is_last(data):
            client, self.client = self.client, None
            self._idle.append(self)
            client.answered()

    def _is_last(self, data: bytes) -> bool:
        if self._left is not None:
            self._left -= len(data)
            return self._left <= 0
        self._tail = (self._tail + data)[-len(_LAST_FRAME) :]
        return self._tail == _LAST_FRAME

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)
        if self.client is not None:
            self.client.transport.close()


class ClientSide(asyncio.Protocol):
    def __init__(self, dial: Callable[[], asyncio.Task[EngineSide]], idle: list[EngineSide]) -> None:
        self._dial, self._idle = dial, idle
        self._waiting = b""
        self._engine: EngineSide | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass of it

    def data_received(self, data: bytes) -> None:
        self._waiting = data if not self._waiting else self._waiting + data
        if self._engine is None:
            self._send_whole_request()

    def answered(self) -> None:
        self._engine = None
        if self._waiting:
            self._send_whole_request()

    def _send_whole_request(self) -> None:
        head, found, _ = self._waiting.partition(_END_OF_HEAD)
        size = len(head) + len(_END_OF_HEAD) + (body_size(head) or 0)
        if not found or len(self._waiting) < size:
            return
        request, self._waiting = self._waiting[:size], self._waiting[size:]
        if self._idle:
            self._send(self._idle.pop(), request)
        else:
            self._dial().add_done_callback(lambda dialled: self._send(dialled.result(), request))

    def _send(self, engine: EngineSide, request: bytes) -> None:
        self._engine = engine
        engine.send(self, request)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._engine is not None:
            self._engine.client = None
            self._engine.transport.abort()


async def serve(port: int, engine_port: int) -> None:
    loop = asyncio.get_running_loop()
    idle: list[EngineSide] = []

    async def dialled() -> EngineSide:
        _, engine = await loop.create_connection(lambda: EngineSide(idle), "127.0.0.1", engine_port)
        return engine

    def client() -> ClientSide:
        return ClientSide(lambda: loop.create_task(dialled()), idle)

    server = await loop.create_server(client, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
