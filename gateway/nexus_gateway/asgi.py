"""The ASGI edge of the story: an `Exchange` over `receive` and `send`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from nexus_gateway.asked import LARGEST
from nexus_gateway.body_limits import BODY_SECONDS, too_large, too_slow
from nexus_gateway.errors import ClientGone
from nexus_gateway.exchange import Headers, RequestHead, Waiter, drive, failed

CUT = "nexus.cut"
"""Extension of the scope: a function that closes the client's connection at once, unsent bytes and all."""


class AsgiExchange:
    """Answers are put into a queue that `run` empties, so that the story itself never awaits the server."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        self.head = RequestHead(
            scope["method"],
            scope["path"],
            list(scope["headers"]),
            client[0] if client else "",
            scope.get("query_string", b""),
        )
        self.closed: Waiter[None] = Waiter()
        self._receive, self._send = receive, send
        self._out: asyncio.Queue[tuple[Message, Waiter[None]] | None] = asyncio.Queue()
        self._reader: asyncio.Task[None] | None = None
        self._body: Waiter[bytes] = Waiter()
        self._gone = False
        self._seconds = 0.0
        """For the client to make room, as the story said last."""
        self._clocks: dict[Waiter[None], asyncio.TimerHandle] = {}
        self._cut_connection: Callable[[], None] | None = scope.get("extensions", {}).get(CUT)

    async def run(self, story: Coroutine[Any, Any, None]) -> None:
        """Drives the story to its end. Raises what it raises."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def finished(error: BaseException | None) -> None:
            self._out.put_nowait(None)
            if not ended.done():
                ended.set_result(None) if error is None else ended.set_exception(error)

        drive(story, finished)
        try:
            await self._write()
            await ended
        except asyncio.CancelledError:
            self._leave()
            raise
        finally:
            if self._reader is not None:
                self._reader.cancel()

    def body(self) -> Waiter[bytes]:
        self._reader = asyncio.get_running_loop().create_task(self._read())
        return self._body

    def start(self, status: int, headers: Headers) -> None:
        self._put({"type": "http.response.start", "status": status, "headers": headers})

    flowing = False

    def write(self, framed: bytes) -> None:
        """uvicorn makes frames of its own."""

    def send(self, data: bytes, seconds: float, framed: bytes = b"") -> Waiter[None]:
        self._seconds = seconds
        return self._put_within({"type": "http.response.body", "body": data, "more_body": True})

    def end(self) -> None:
        self._put_within({"type": "http.response.body", "body": b"", "more_body": False})

    def _put_within(self, message: Message) -> Waiter[None]:
        """The end too: else a client that takes nothing keeps the connection, and all that waits in it."""
        waiter = self._put(message)
        if not waiter.settled:
            clock = asyncio.get_running_loop().call_later(max(0.0, self._seconds), self._cut)
            self._clocks[waiter] = clock
        return waiter

    def _put(self, message: Message) -> Waiter[None]:
        if self._gone:
            return failed(ClientGone())
        waiter: Waiter[None] = Waiter()
        self._out.put_nowait((message, waiter))
        return waiter

    async def _write(self) -> None:
        """The server's `send` returns when there is room for more: that is the backpressure."""
        while (entry := await self._out.get()) is not None:
            message, waiter = entry
            await self._write_one(message, waiter)

    async def _write_one(self, message: Message, waiter: Waiter[None]) -> None:
        try:
            if not self._gone:
                await self._send(message)
        except OSError:
            self._leave()
        if (clock := self._clocks.pop(waiter, None)) is not None:
            clock.cancel()
        if self._gone:
            waiter.fail(ClientGone())
        else:
            waiter.give(None)

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await self._read_body()
        except TimeoutError:
            self._body.fail(too_slow())
            return
        except Exception as error:  # whatever it is, the story waits for it
            self._body.fail(error)
            return
        self._body.give(body)
        while (await self._receive())["type"] != "http.disconnect":
            pass  # nothing else comes after a body
        self._leave()

    async def _read_body(self) -> bytes:
        length = self.head.first(b"content-length")
        if length.isdigit() and int(length) > LARGEST:
            raise too_large()
        pieces, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._leave()
                raise ClientGone
            piece = message.get("body", b"")
            size += len(piece)
            if size > LARGEST:
                raise too_large()
            pieces.append(piece)
            if not message.get("more_body", False):
                return b"".join(pieces)

    def _cut(self) -> None:
        """The client takes nothing any more: what waits for it in the server's buffers goes with its connection."""
        self._leave()
        if self._cut_connection is not None:
            self._cut_connection()

    def _leave(self) -> None:
        self._gone = True
        self.closed.give(None)
