"""One HTTP/1.1 connection to an upstream: bytes in, waiters settled, no task."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable

import httptools

from nexus_gateway.exchange import Headers, Waiter
from nexus_gateway.upstreams.protocol import ResponseHead, UpstreamFault, UpstreamSlow

LARGEST_HEAD = 32 << 10  # bytes; engines send a few hundred
HIGH_WATER = 256 << 10  # bytes read and not yet relayed, above which the socket is left alone
_FRAMING = (b"content-length", b"transfer-encoding")


class Connection(asyncio.Protocol):
    """Belongs to one call at a time. `idle` is called when it may take another."""

    def __init__(
        self,
        idle: Callable[[Connection], None],
        lost: Callable[[Connection], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls` is what it is made with."""
        self._idle, self._lost, self.tls = idle, lost, tls
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._reset()
        self.used = False
        """True once it has carried a call: its end then may be only the other side's idle timeout."""
        self.alive = True
        self._timer: asyncio.TimerHandle | None = None
        self._rings = 0.0
        """Time of the loop at which `_timer` does."""
        self.owner: object | None = None
        """The call that it carries; None while it is idle. Only the owner may cut it."""

    def _reset(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: Headers = []
        self._head_bytes = self._buffered = 0
        self._barren = 0
        """Bytes since the last that gave a head or some of a body."""
        self._head: Waiter[ResponseHead] = Waiter()
        self._chunks: deque[bytes] = deque()
        self._waiting: Waiter[bytes] | None = None
        self._whole = self._paused = self._keep = self._released = False
        self._fault: BaseException | None = None
        self._until: float | None = None
        """Time of the loop until which it must say something; None while nobody waits."""
        self._too_late = ""
        self.heard = False
        """True once a byte of the present answer has come."""

    # --- the call --------------------------------------------------------------------------------------------------

    def send(self, owner: object, head: bytes, body: bytes) -> None:
        self._reset()
        self.owner = owner
        transport = self._open_transport()
        transport.writelines((head, body))

    def head(self, seconds: float) -> Waiter[ResponseHead]:
        self._bound(self._head, seconds, "its first byte did not come within the deadline")
        return self._head

    def chunk(self, seconds: float) -> Waiter[bytes]:
        waiter: Waiter[bytes] = Waiter()
        if self._chunks:
            data = self._chunks.popleft() if len(self._chunks) == 1 else b"".join(self._chunks)
            self._chunks.clear()
            self._buffered = 0
            if self._paused:
                self._paused = False
                self._open_transport().resume_reading()
            waiter.give(data)
        elif self._fault is not None:
            waiter.fail(self._fault)
        elif self._whole:
            waiter.give(b"")
            self._release()
        else:
            self._waiting = waiter
            self._bound(waiter, seconds, "it was silent for too long in the middle of its answer")
        return waiter

    def abort(self, error: BaseException) -> None:
        """Cuts the connection: what it would still say belongs to a call that nobody waits for."""
        self._fail(error)
        self.alive = False
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        self.alive = False
        if self._transport is not None:
            self._transport.close()

    def _bound(self, waiter: Waiter[ResponseHead] | Waiter[bytes], seconds: float, reason: str) -> None:
        """One timer, that is set again when it rings too early: one for each piece costs more than the piece."""
        if not waiter.settled:
            self._until, self._too_late = self._loop.time() + seconds, reason
            if self._timer is None or self._rings > self._until:
                self._set_timer(self._until)

    def _unbind(self) -> None:
        self._until = None

    def _set_timer(self, rings: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings, self._timer = rings, self._loop.call_at(rings, self._rang)

    def _rang(self) -> None:
        self._timer = None
        if self._until is None:
            return
        if self._until > self._loop.time():
            self._set_timer(self._until)
        else:
            self.abort(UpstreamSlow(self._too_late))

    def _fail(self, error: BaseException) -> None:
        self._unbind()
        if self._whole:
            return
        self._fault = self._fault or error
        self._head.fail(error)
        if self._waiting is not None:
            self._waiting.fail(error)

    # --- the socket ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's transport, by create_connection

    def data_received(self, data: bytes) -> None:
        if self.owner is None:  # nobody asked: the next call would take it for its answer
            self.abort(UpstreamFault("it spoke without being asked"))
            return
        self.heard = True
        self._barren += len(data)
        try:
            self._parser.feed_data(data)
            if self._barren > LARGEST_HEAD:  # a line without an end, which the parser would keep without end
                raise UpstreamFault(f"a line of its answer is larger than {LARGEST_HEAD} bytes")
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, UpstreamFault) as error:
            reason = error.reason if isinstance(error, UpstreamFault) else "it does not speak HTTP"
            self.abort(UpstreamFault(reason))

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        if self._timer is not None:
            self._timer.cancel()
        if not self._whole:
            self._fail(UpstreamFault("it closed the connection before its answer was whole"))
        self._lost(self)

    # --- the parser ------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._whole:
            raise UpstreamFault("it sent more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > LARGEST_HEAD:
            raise UpstreamFault(f"its head is larger than {LARGEST_HEAD} bytes")
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # an interim answer; the real one follows
            self._headers = []
            return
        self._unbind()
        self._barren = 0
        headers = [header for header in self._headers if header[0] not in _FRAMING]
        self._head.give(ResponseHead(status, headers))

    def on_body(self, data: bytes) -> None:
        self._barren = 0
        if self._waiting is not None and not self._waiting.settled:
            waiter, self._waiting = self._waiting, None
            self._unbind()
            waiter.give(data)
            return
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered > HIGH_WATER and not self._paused:
            self._paused = True
            self._open_transport().pause_reading()

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:
            return
        self._whole = True
        self._barren = 0
        self._unbind()
        self._keep = self._parser.should_keep_alive()
        if self._waiting is not None and not self._waiting.settled:
            waiter, self._waiting = self._waiting, None
            self._release()
            waiter.give(b"")

    def _release(self) -> None:
        """Free for another call, once this call's has read the end of its answer: before that, bytes wait here."""
        if self._released:
            return
        self._released = self.used = True
        self.owner = None
        if self._keep and self.alive:
            self._idle(self)
        else:
            self.close()

    def _open_transport(self) -> asyncio.Transport:
        if self._transport is None:
            raise UpstreamFault("it is not connected")
        return self._transport
