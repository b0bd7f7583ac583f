"""What a connection may do, which uvicorn does not bound: the head's bytes, headers and time, and idle time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from itertools import chain
from typing import Any, NoReturn

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from nexus_gateway import envelopes
from nexus_gateway.asgi import CUT, LEAVES, WHOLE
from nexus_gateway.errors import HEAD_TOO_LARGE, INVALID_HEAD, Condition, Refusal
from nexus_gateway.exchange import Headers, RequestHead
from nexus_gateway.page_errors import surface_of
from nexus_gateway.trace import trace
from nexus_gateway.turn import Turn, turn_of

HEAD_BYTES = 32 << 10
HEAD_COUNT = 100
HEAD_SECONDS = 10.0
IDLE_SECONDS = 75
_GO_ON, _CLOSE = b"\r\n", b"connection: close\r\n\r\n"


class _FirstLines:
    """Made once for each date: uvicorn has another list of headers every second."""

    def __init__(self) -> None:
        self._of: Headers | None = None
        self._lines: dict[int, bytes] = {}

    def lines(self, status: int, headers: Headers) -> bytes:
        if headers is not self._of:
            self._of, self._lines = headers, {}
        found = self._lines.get(status)
        if found is None:
            found = self._lines[status] = STATUS_LINE[status] + b"".join([b"%b: %b\r\n" % pair for pair in headers])
        return found


_FIRST = _FirstLines()


class LimitedProtocol(HttpToolsProtocol):
    """Closes what does not become a request in time, and refuses heads that are too large or ambiguous."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._in_head, self._head_bytes, self._in_message = True, 0, False
        self._deadline: asyncio.TimerHandle | None = None
        self._left: Callable[[], None] | None = None
        """Whom it is told that the client has gone."""
        self._turn: Turn | None = None
        self._wrote_in = -1
        """The turn of the loop in which something was written last."""
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)
        if self.scope is not None:
            self.scope.pop("extensions", None)  # by which it holds this, and is held
        left, self._left = self._left, None
        if left is not None:
            left()

    def rests(self) -> bool:
        """True between two requests: the next byte is the first of another."""
        answered = self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # it is at first
        return answered and not self._in_message

    def data_received(self, data: bytes) -> None:
        rested, before = self.rests(), self.cycle
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and b"\r\n\r\n" not in data[:HEAD_BYTES]:
                self._turn_away(HEAD_TOO_LARGE)
                return
        super().data_received(data)
        # Behind it, since nearly every head comes whole. An empty line begins none, and ends the rest that is bounded.
        if self._in_head or (rested and self.cycle is before):
            self._start_clock()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._in_message = True

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_message = False

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        self._stop_clock()
        names = [name for name, _ in self.headers]
        if len(names) > HEAD_COUNT or sum(map(len, chain.from_iterable(self.headers))) > HEAD_BYTES:
            self._read_no_further(HEAD_TOO_LARGE)
        if names.count(b"host") != 1:
            self._read_no_further(INVALID_HEAD)
        super().on_headers_complete()
        self.scope["extensions"] = {  # read in a later turn; uvicorn types the extensions that it knows
            CUT: self.transport.abort,  # type: ignore[dict-item]
            WHOLE: self._write_whole,  # type: ignore[dict-item]
            LEAVES: self._tell_of_leave,  # type: ignore[dict-item]
        }

    # --- what an app may ask besides, see asgi.py ------------------------------------------------------------------

    def _write_whole(self, status: int, lines: bytes, body: bytes) -> bool:
        """What uvicorn's `send` does with the three messages of an answer, where the client has room for all of it."""
        cycle, transport = self.cycle, self.transport
        if self.pipeline or cycle.response_started or cycle.disconnected or cycle.scope["method"] == "HEAD":
            return False  # of several requests it is not the newest one's
        if transport.is_closing() or transport.get_write_buffer_size() or b"connection: " in lines:
            return False
        text = b"%b%b%b%b" % (self.first_lines(status), lines, _GO_ON if cycle.keep_alive else _CLOSE, body)
        if len(text) > transport.get_write_buffer_limits()[1]:  # then it would ask for a pause
            return False
        self.write(text)
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.close()
        cycle.on_response()
        return True

    def _tell_of_leave(self, left: Callable[[], None] | None) -> None:
        self._left = left
        if left is not None:
            self.flow.resume_reading()  # it is seen by reading

    # --- what is written -------------------------------------------------------------------------------------------

    def first_lines(self, status: int = 200) -> bytes:
        """Of an answer: the first, and the server's own headers."""
        return _FIRST.lines(status, self.server_state.default_headers)

    def write(self, data: bytes) -> None:
        """At the end of this turn of the loop, see turn.py."""
        turn = self._turn
        if turn is None:
            turn = self._turn = turn_of(asyncio.get_running_loop())
        self._wrote_in = turn.number
        turn.write(self.transport, data)

    def write_out(self) -> None:
        """Before anybody else writes to the transport, or closes it."""
        if self._turn is not None and self._wrote_in == self._turn.number:
            self._turn.end()

    def close(self) -> None:
        """Once what was written is with the client, for which it has its time."""
        self.write_out()
        self.transport.close()

    def eof_received(self) -> None:
        """The loop closes the transport of a client that says no more."""
        self.write_out()
        super().eof_received()

    def shutdown(self) -> None:
        self.write_out()
        super().shutdown()

    # --- what it refuses -------------------------------------------------------------------------------------------

    def _read_no_further(self, condition: Condition) -> NoReturn:
        """What is behind it is not begun, nor taken for the body of the request before: an error ends the parser."""
        self._turn_away(condition)
        raise ConnectionAbortedError(condition.code)

    def _start_clock(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def send_400_response(self, msg: str) -> None:
        """What the parser refuses."""
        self._turn_away(INVALID_HEAD)

    def _turn_away(self, condition: Condition) -> None:
        """What has no head to make a request of has ids of our own."""
        self.write_out()
        if not self.transport.is_closing():
            ids = trace(RequestHead("", "", [], ""))
            path = getattr(self, "url", b"").decode("latin-1")  # of the last head that had a first line
            body = envelopes.body(Refusal(condition), surface_of(path), ids.request_id)
            headers = [
                (b"connection", b"close"),
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                *ids.headers,
            ]
            status = b"HTTP/1.1 %d %s\r\n" % (condition.status, HTTPStatus(condition.status).phrase.encode())
            self.transport.write(status + b"".join(b"%s: %s\r\n" % pair for pair in headers) + b"\r\n" + body)
            self.transport.close()
