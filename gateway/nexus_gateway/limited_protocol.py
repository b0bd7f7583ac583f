"""What a connection may do, which uvicorn does not bound: the head's bytes, headers and time, and idle time."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from itertools import chain
from typing import Any, NoReturn

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nexus_gateway import envelopes
from nexus_gateway.asgi import CUT
from nexus_gateway.errors import HEAD_TOO_LARGE, INVALID_HEAD, Condition, Refusal
from nexus_gateway.exchange import RequestHead
from nexus_gateway.page_errors import surface_of
from nexus_gateway.trace import trace

HEAD_BYTES = 32 << 10
HEAD_COUNT = 100
HEAD_SECONDS = 10.0
IDLE_SECONDS = 75


class LimitedProtocol(HttpToolsProtocol):
    """Closes what does not become a request in time, and refuses heads that are too large or ambiguous."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._in_head, self._head_bytes, self._in_message = True, 0, False
        self._deadline: asyncio.TimerHandle | None = None
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

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
        self.scope["extensions"] = {CUT: self.transport.abort}  # type: ignore[dict-item]  # uvicorn types the extensions that it knows
        super().on_headers_complete()

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
