"""The ASGI edge of the story: an `Exchange` over `receive` and `send`.

A request has no task besides the server's own, and what is sent waits for none: `receive` and `send` are stepped from
the callbacks in which the story goes on (`stepped.py`). Where the body has come and the client has room, as is nearly
always so, each ends at its first step. A queue, and a task that waits for the client's leave, cost half of all.

Any server will do. Ours (`limited_protocol.py`) offers besides what spares most of what uvicorn's own `send` and
`receive` cost; without it all is the same, and takes longer (tests/gateway/test_whole_answers.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from nexus_gateway.asked import LARGEST
from nexus_gateway.body_limits import BODY_SECONDS, too_large, too_slow
from nexus_gateway.errors import ClientGone
from nexus_gateway.exchange import CONTROLS, WRITTEN, Headers, RequestHead, Waiter, drive, failed, given
from nexus_gateway.stepped import Stepped

CUT = "nexus.cut"
"""Extension of the scope: a function that closes the client's connection at once, unsent bytes and all."""
WHOLE = "nexus.whole"
"""Extension of the scope: a function of an answer's status, its headers as lines, and its body, that writes all of it.
False where it has not, and `send` has to: that takes three messages, all looked at anew, and two system calls."""
LEAVES = "nexus.leaves"
"""Extension of the scope: a function that is given what is to be called once the client has gone, or None where it need
not be any more. To wait for that by `receive` takes a future and four frames for each request, and few clients go."""


class AsgiExchange:
    __slots__ = ("_body", "_clock", "_cut_connection", "_error", "_gone", "_has_body", "_head", "_leaves", "_loop",
                 "_over", "_queue", "_reading", "_receive", "_seconds", "_send", "_sending", "_told", "_watches",
                 "_whole", "_write_whole", "begun", "closed", "head")  # fmt: skip

    flowing = False
    """The server makes frames of its own."""

    def socket(self) -> None:
        """It is the server's."""

    def clear(self) -> bool:
        return False

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
        offered = scope.get("extensions", {}).get
        self._cut_connection: Callable[[], None] | None = offered(CUT)
        self._write_whole: Callable[[int, bytes, bytes], bool] | None = offered(WHOLE)
        self._leaves: Callable[[Callable[[], None] | None], None] | None = offered(LEAVES)
        self._head: tuple[int, Headers, bytes] | None = None
        """That has not been sent: it goes out with the first of the body."""
        self._loop = asyncio.get_running_loop()
        self._body: Waiter[bytes] | None = None
        """That the story waits for."""
        self._reading: Stepped[Any] | None = None
        """Of the body, and behind it of the client's leave."""
        self._sending: Stepped[None] | None = None
        """Of the first in `_queue`."""
        self._queue: list[tuple[Message, Waiter[None]]] = []
        """What waits until the client has made room."""
        self._clock: asyncio.TimerHandle | None = None
        """Of the body, and later of what waits for room."""
        self._seconds = 0.0
        """For the client to make room, as the story said last."""
        self._has_body = self._gone = self._whole = self._told = False
        """Whether the body has come, the client has gone, the answer is whole, the story has nothing more to do."""
        self._watches = False
        """Whether the server tells of the client's leave."""
        self.begun = False
        """Whether the answer has."""
        self._error: BaseException | None = None
        """That the client was not told of."""
        self._over: asyncio.Future[None] | None = None

    async def run(self, story: Coroutine[Any, Any, None]) -> None:
        """Drives the story to its end. Raises what it raises."""
        drive(story, self._finished)
        try:
            if not self._is_over():
                self._over = self._loop.create_future()
                self._watch()
                await self._over
        except asyncio.CancelledError:
            self._leave()
            raise
        finally:
            self._read_no_more()
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # it holds this frame

    # --- what the story asks ---------------------------------------------------------------------------------------

    def body(self) -> Waiter[bytes]:
        reading = self._read_body().__await__()
        try:
            awaited = next(reading)
        except StopIteration as end:
            self._has_body = True
            if self._over is not None:  # else `run` does, when the story has gone as far as it goes
                self._loop.call_soon(self._watch)
            return given(end.value)
        except Exception as error:  # whatever it is, the story waits for it
            if isinstance(error, ClientGone):
                self._leave()
            return failed(error.with_traceback(None))
        self._body = Waiter()
        self._reading = Stepped(self._loop, reading, awaited, self._has_read)
        self._clock = self._loop.call_later(BODY_SECONDS, self._has_read, None, too_slow())
        return self._body

    def start(self, status: int, headers: Headers) -> None:
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        if len(lines) - len(lines.translate(None, CONTROLS)) != 2 * len(headers):  # else the server sees it half out
            raise ValueError("a header of the answer has a line's end or another control character in it")
        self.begun = True
        self._head = status, headers, lines
        if self._write_whole is None:
            self._put_head()

    def write(self, framed: bytes) -> None:
        """Nobody asks, since nothing flows."""

    def send(self, data: bytes, seconds: float, framed: bytes = b"") -> Waiter[None]:
        self._seconds = seconds
        if self._head is not None:
            if self._has_written(*self._head, data):
                return WRITTEN
            self._put_head()
        return self._put({"type": "http.response.body", "body": data, "more_body": True})

    def end(self) -> None:
        if self._whole:
            return
        self._whole = True
        self._read_no_more()
        self._put_head()
        self._put({"type": "http.response.body", "body": b"", "more_body": False})

    # --- what comes from the client --------------------------------------------------------------------------------

    async def _read_body(self) -> bytes:
        length = self.head.first(b"content-length")
        if length.isdigit() and int(length) > LARGEST:
            raise too_large()
        pieces, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            piece = message.get("body", b"")
            size += len(piece)
            if size > LARGEST:
                raise too_large()
            pieces.append(piece)
            if not message.get("more_body", False):
                return b"".join(pieces)

    def _has_read(self, body: bytes | None, error: BaseException | None) -> None:
        self._read_no_more()
        self._stop_clock()
        waiting, self._body = self._body, None
        if isinstance(error, ClientGone):
            self._leave()
        if waiting is None:
            return
        if body is None:
            waiting.fail(error or ClientGone())
            return
        self._has_body = True
        waiting.give(body)
        self._watch()

    def _watch(self) -> None:
        """For the client's leave: nothing else comes after a body."""
        if not self._has_body or self._whole or self._told or self._gone or self._reading is not None:
            return
        if self._leaves is not None:
            self._watches = True
            self._leaves(self._leave)
            return
        watching = self._until_it_leaves().__await__()
        try:
            awaited = next(watching)
        except StopIteration:
            self._leave()
        else:
            self._reading = Stepped(self._loop, watching, awaited, self._has_left)

    async def _until_it_leaves(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _has_left(self, _: Any, error: BaseException | None) -> None:
        self._leave()

    def _read_no_more(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.close()
        if self._watches and self._leaves is not None:
            self._watches = False
            self._leaves(None)

    # --- what goes to it -------------------------------------------------------------------------------------------

    def _has_written(self, status: int, headers: Headers, lines: bytes, body: bytes) -> bool:
        """Whether that was the whole answer, and is with the server."""
        if self._write_whole is None or self._gone or (b"content-length", b"%d" % len(body)) not in headers:
            return False
        self._whole = self._write_whole(status, lines, body)
        if self._whole:
            self._head = self._write_whole = None  # what is said besides is for `send` to refuse
            self._read_no_more()
        return self._whole

    def _put_head(self) -> None:
        head, self._head, self._write_whole = self._head, None, None
        if head is not None:
            self._put({"type": "http.response.start", "status": head[0], "headers": head[1]})

    def _put(self, message: Message) -> Waiter[None]:
        """The server's `send` ends when there is room for more: that is the backpressure."""
        if self._gone:
            return failed(ClientGone())
        sent = None if self._queue else self._sent(message)
        if sent is not None:
            return sent
        waiter: Waiter[None] = Waiter()
        self._queue.append((message, waiter))
        self._wait_for_room()
        return waiter

    def _sent(self, message: Message) -> Waiter[None] | None:
        """None where there is no room for it yet."""
        sending = self._send(message).__await__()
        try:
            awaited = next(sending)
        except StopIteration:
            return WRITTEN
        except Exception as error:
            self._failed(error)
            return failed(ClientGone())
        self._sending = Stepped(self._loop, sending, awaited, self._has_room)
        return None

    def _has_room(self, _: Any, error: BaseException | None) -> None:
        """The first in the queue was sent."""
        self._sending = None
        self._stop_clock()
        if error is not None:
            self._failed(error)
        if self._queue:
            self._queue.pop(0)[1].give(None)  # the story goes on in here, and may queue more
        self._send_on()
        self._look_over()

    def _send_on(self) -> None:
        while self._queue and self._sending is None:
            message, waiter = self._queue[0]
            if self._sent(message) is None:
                self._wait_for_room()
            elif self._queue:  # else it has failed, and all who wait were told
                self._queue.pop(0)
                waiter.give(None)

    def _wait_for_room(self) -> None:
        """At the answer's end too: else a client that takes nothing keeps the connection, and all that waits in it."""
        self._stop_clock()
        self._clock = self._loop.call_later(max(0.0, self._seconds), self._cut)

    def _stop_clock(self) -> None:
        clock, self._clock = self._clock, None
        if clock is not None:
            clock.cancel()

    def _failed(self, error: BaseException) -> None:
        """Of a server whose client is gone, or that does not take what it is given."""
        if not isinstance(error, OSError):
            self._error = error
        self._leave()

    def _cut(self) -> None:
        """The client takes nothing any more: what waits for it in the server's buffers goes with its connection."""
        self._leave()
        if self._cut_connection is not None:
            self._cut_connection()

    # --- the end ---------------------------------------------------------------------------------------------------

    def _leave(self) -> None:
        """The client has gone, and whoever waits for it is told."""
        if self._gone:
            return
        self._gone = True
        self._stop_clock()
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.close()
        queue, self._queue = self._queue, []
        body, self._body = self._body, None
        self.closed.give(None)
        if body is not None:
            body.fail(ClientGone())
        for _, waiter in queue:
            waiter.fail(ClientGone())
        self._look_over()

    def _finished(self, error: BaseException | None) -> None:
        """The story has nothing more to do, and has raised `error` where it has not told the client itself."""
        self._told, self._error = True, error or self._error
        self._put_head()
        self._look_over()

    def _is_over(self) -> bool:
        return self._told and not self._queue

    def _look_over(self) -> None:
        if self._over is not None and self._is_over() and not self._over.done():
            self._over.set_result(None)
