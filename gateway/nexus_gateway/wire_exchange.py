"""The wire edge of the story: an `Exchange` straight over a connection's transport."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from nexus_gateway.asked import LARGEST
from nexus_gateway.body_limits import BODY_SECONDS, too_large, too_slow
from nexus_gateway.errors import ClientGone
from nexus_gateway.exchange import CONTROLS, WRITTEN, Headers, Waiter, failed, given
from nexus_gateway.plain_head import PlainHead

if TYPE_CHECKING:
    from nexus_gateway.straight.heads import KnownHead
    from nexus_gateway.straight.way import Way
    from nexus_gateway.wire import WireProtocol


class WireExchange:
    """One request of one connection. The socket's callbacks settle what the story awaits; no task is made for it."""

    __slots__ = (
        "_body",
        "_chunked",
        "_clock",
        "_connection",
        "_ended",
        "_gone",
        "_head",
        "_pieces",
        "_queue",
        "_reads",
        "_seconds",
        "_started",
        "_whole",
        "closed",
        "flowing",
        "head",
        "keeps",
        "known",
        "missing",
        "way",
        "write",
    )

    def __init__(self, connection: WireProtocol, plain: PlainHead) -> None:
        self.head = plain.head
        if connection.client is not None:
            plain.head.client = connection.client[0]
        self.closed: Waiter[None] = Waiter()
        self.keeps = plain.keeps
        """Whether the connection may carry another request after the answer."""
        self.missing = plain.length
        """Bytes of the body that have not come."""
        self._connection = connection
        self._reads = plain.length <= LARGEST
        self._pieces: list[bytes] = []
        self._body: Waiter[bytes] | None = None
        self._queue: list[tuple[bytes, Waiter[None]]] = []
        """What waits until the client has made room."""
        self._clock: asyncio.TimerHandle | None = None
        """Of the body, and later of what waits for room."""
        self._head = b""
        """That has not been written: it goes out with the first of the body, in one call of the system."""
        self._seconds = 0.0
        """For the client to make room, as the story said last."""
        self._started = self._chunked = self._ended = self._whole = self._gone = False
        self.flowing = False
        """Kept, and not worked out from what it depends on: it is asked for each piece of a stream."""
        self.write = connection.write
        self.known: KnownHead | None = None
        self.way: Way | None = None
        """Of one that went the straight way, until it left that."""

    # --- what the story asks ---------------------------------------------------------------------------------------

    def body(self) -> Waiter[bytes]:
        if self._gone:
            return failed(ClientGone())
        if not self._reads:
            return failed(too_large())
        if not self.missing:
            return given(self._taken())
        self._body = Waiter()
        self._clock = self._connection.loop.call_later(BODY_SECONDS, self._body.fail, too_slow())
        self._connection.flow.resume_reading()
        return self._body

    def socket(self) -> int | None:
        if not self._connection.native:
            return None
        socket = self._connection.transport.get_extra_info("socket")
        return None if socket is None else int(socket.fileno())

    def clear(self) -> bool:
        if not self.flowing:
            return False
        self._connection.write_out()
        transport = self._connection.transport  # of one that is closing what came before may have been left out
        return transport.get_write_buffer_size() == 0 and not transport.is_closing()

    def go_on(self) -> None:
        """With the body, in frames, of an answer that has begun elsewhere."""
        self.head.let_go()
        self._started = self._chunked = True
        self._look_flowing()

    def start(self, status: int, headers: Headers) -> None:
        if self._started:  # the client would take it for the answer of its next request
            raise RuntimeError("the answer has begun already")
        lines = [STATUS_LINE[status]]
        self._chunked = True
        for header in (*self._connection.server_state.default_headers, *headers):
            name = header[0]
            if name == b"content-length":
                self._chunked = False
            elif name == b"connection":  # it says `close`, and nothing else is ever said
                self.keeps = False
                continue
            lines.append(b"%b: %b\r\n" % header)
        if not self.keeps:
            lines.append(b"connection: close\r\n")
        if self._chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        head = b"".join(lines)
        if len(head) - len(head.translate(None, CONTROLS)) != 2 * len(lines):
            raise ValueError("a header of the answer has a line's end or another control character in it")
        self._started, self._head = True, head

    def send(self, data: bytes, seconds: float, framed: bytes = b"") -> Waiter[None]:
        if framed and self.flowing:
            self._seconds = seconds
            self.write(framed)
            return WRITTEN
        self._must_have_begun()
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        waiter, self._seconds = self._put_behind_head(data), seconds
        if not waiter.settled:
            self._wait_for_room()
        return waiter

    def end(self) -> None:
        self._must_have_begun()
        if self._chunked or self._head:
            self._put_behind_head(b"0\r\n\r\n" if self._chunked else b"")
        self._ended, self.flowing = True, False
        if not self._look_whole():
            self._wait_for_room()  # else a client that takes nothing keeps the connection, and all that waits in it

    def finished(self, error: BaseException | None) -> None:
        """The story has nothing more to do, and has raised `error` where it has not told the client itself."""
        self._connection.tasks.discard(self)
        if error is not None:
            self._connection.logger.error("A request has failed, and nobody could be told", exc_info=error)
        if not self._ended and not self._gone:
            self._put(self._head)  # if nothing has come after it
            self._connection.close()

    # --- what the connection tells ---------------------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """Bytes of its body that have come; not more than are missing."""
        self.missing -= len(data)
        if data and self._reads and not self._ended:
            self._pieces.append(data)
            if self._body is None and self.missing and sum(map(len, self._pieces)) > HIGH_WATER_LIMIT:
                self._connection.flow.pause_reading()
        if self._body is not None and not self.missing and not self._body.settled:
            self._stop_clock()
            body, self._body = self._body, None
            body.give(self._taken())

    def has_no_room(self) -> None:
        self.flowing = False

    def has_room(self) -> None:
        """The client has taken what was written."""
        while self._queue and not self._connection.flow.write_paused:
            data, waiter = self._queue.pop(0)
            self._stop_clock()
            self._connection.write(data)
            self._connection.write_out()  # whether there is room for the next is known then
            self._look_flowing()
            waiter.give(None)  # the story goes on in here, and may write or queue more
        self._look_flowing()
        if self._ended and not self._look_whole():
            self._wait_for_room()

    def leave(self) -> None:
        """The client has gone."""
        if self._gone or self._whole:
            return
        self._gone, self.flowing = True, False
        self._stop_clock()
        self.closed.give(None)
        if self._body is not None:
            self._body.fail(ClientGone())
        while self._queue:
            self._queue.pop(0)[1].fail(ClientGone())

    def cut(self) -> None:
        """Ends the connection at once: what waits in buffers goes with it."""
        self.leave()
        self._connection.transport.abort()

    def cancel(self, msg: str | None = None) -> None:
        """uvicorn's word, when the grace of a gateway that stops is over. Not at once: it is walking over the set that
        this is in."""
        self._connection.loop.call_soon(self.cut)

    # --- both ------------------------------------------------------------------------------------------------------

    def _look_flowing(self) -> None:
        begun = self._started and self._chunked and not (self._head or self._ended or self._gone)
        self.flowing = begun and not self._queue and not self._connection.flow.write_paused

    def _must_have_begun(self) -> None:
        """Else a body would stand where the client reads a head."""
        if not self._started and not self._gone:
            raise RuntimeError("the answer has not begun")

    def _put_behind_head(self, data: bytes) -> Waiter[None]:
        if not self._head:
            return self._put(data)
        data, self._head = self._head + data, b""
        waiter = self._put(data)
        self._look_flowing()
        return waiter

    def _put(self, data: bytes) -> Waiter[None]:
        """Settled once it is with the transport, which says when it holds too much."""
        if self._gone:
            return failed(ClientGone())
        if not self._queue and not self._connection.flow.write_paused:
            self._connection.write(data)
            if self._chunked and self._started:
                self._connection.write_out()  # more may come in this turn, and whether there is room must be known
            return WRITTEN
        waiter: Waiter[None] = Waiter()
        self._queue.append((data, waiter))
        return waiter

    def _look_whole(self) -> bool:
        """Whole once the client has taken it: nothing else is begun for one that does not read."""
        if self._ended and not (self._whole or self._gone or self._queue or self._connection.flow.write_paused):
            self._whole = True
            self._stop_clock()
            self._connection.answered(self, self._seconds)
        return self._whole

    def _wait_for_room(self) -> None:
        self._stop_clock()
        if not self._gone:
            self._clock = self._connection.loop.call_later(max(0.0, self._seconds), self.cut)

    def _taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
