"""One HTTP/1.1 connection to an upstream: bytes in, waiters settled or a taker told, no task.

The relay of a stream takes what comes from the socket's own callback (`pour`): a waiter and a step of the story for
each piece cost more than the piece.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from nexus_gateway.exchange import Waiter
from nexus_gateway.native import fail, lendable
from nexus_gateway.turn import turn_of
from nexus_gateway.upstreams.answer_reader import AnswerReader
from nexus_gateway.upstreams.late_timer import LateTimer
from nexus_gateway.upstreams.protocol import ResponseHead, StraightHearer, Taker, UpstreamFault, UpstreamSlow

if TYPE_CHECKING:
    from nexus_native import EngineLine, Plane, StreamLine

HIGH_WATER = 256 << 10  # bytes read and not yet relayed, above which the socket is left alone
_NO_FIRST_BYTE = "its first byte did not come within the deadline"
_ONE_WRITE = 16 << 10
"""Bytes of a request below which to copy them once more costs less than to hand over two pieces."""


class Connection(asyncio.Protocol):
    """Belongs to one call at a time. `idle` is called when it may take another."""

    __slots__ = ("_buffered", "_chunks", "_fault", "_head", "_held", "_idle", "_keep", "_loop", "_lost", "_open",
                 "_paused", "_reader", "_released", "_straight", "_taker", "_timer", "_too_late",
                 "_transport", "_turn", "_until", "_waiting", "_whole", "alive", "heard", "line", "owner",
                 "tls", "used")  # fmt: skip

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
        self._turn = turn_of(self._loop)
        self._reader = AnswerReader(self)
        self._chunks: list[bytes] = []  # an empty deque has 760 bytes, and there are thousands of connections
        self._timer = LateTimer(self._loop)
        self._too_late = ""
        self.used = False
        """True once it has carried a call: its end then may be only the other side's idle timeout."""
        self.alive = True
        self._straight: StraightHearer | None = None
        """Who hears the present answer at once, while it is such as is heard so."""
        self.line: StreamLine | EngineLine | None = None
        """What reads the socket in the transport's stead, see native.py."""
        self.owner: object | None = None
        """The call that it carries; None while it is idle. Only the owner may cut it."""
        self._reset()

    def _reset(self) -> None:
        self._head: Waiter[ResponseHead] = Waiter()
        self._reader.begin()
        self._chunks.clear()
        self._buffered = 0
        self._waiting: Waiter[bytes] | None = None
        self._taker: Taker | None = None
        self._open: Taker | None = None
        """The taker, while a whole frame can go to it at once."""
        self._held = False
        """Whether the taker has no room."""
        self._whole = self._paused = self._keep = self._released = False
        self._fault: BaseException | None = None
        self._until: float | None = None
        """Time of the loop until which it must say something; None while nobody waits."""
        self.heard = False
        """True once a byte of the present answer has come."""

    def time(self) -> float:
        """Of its loop."""
        return self._loop.time()

    # --- the call --------------------------------------------------------------------------------------------------

    def send(self, owner: object, head: bytes, body: bytes) -> None:
        self.end_line()
        self._reset()
        self.owner = owner
        self._write(head, body)

    def _write(self, head: bytes, body: bytes) -> None:
        transport = self._open_transport()
        if len(body) < _ONE_WRITE:
            self._turn.write(transport, head + body)
        else:
            transport.writelines((head, body))

    def send_straight(self, hearer: StraightHearer, head: bytes, body: bytes, until: float) -> None:
        """A request whose answer `hearer` may take as it comes, without any of what a call has besides. It must
        begin by `until`, a time of the loop."""
        self.end_line()
        self.straight_since(hearer, until)
        self._write(head, body)

    def straight_since(self, hearer: StraightHearer, until: float) -> None:
        """As if it had been sent by `send_straight`."""
        self.owner = self._straight = hearer
        self._whole, self._fault, self._until, self._too_late = False, None, until, _NO_FIRST_BYTE
        self._timer.ring_by(until, self._rang)

    def heard_elsewhere(self) -> None:
        """The straight answer is C's to hear."""
        self._straight, self._until, self.owner, self._whole = None, None, None, True

    def streaming_since(self, owner: object, *, keep: bool) -> None:
        """As if its answer, which comes in frames, had been read here until now."""
        self.end_line()
        self._reset()
        self.owner, self.heard = owner, True
        self._reader.begin_between_frames(keep=keep)

    def rest(self, *, keep: bool) -> None:
        """The straight answer is whole."""
        self._straight = self._until = None
        self._whole, self._keep, self._released = True, keep, False
        self._release()

    def adopt(self, owner: object) -> Waiter[ResponseHead]:
        """What was sent straight is a call like any other from now on, of which nothing has been heard."""
        until, self._straight = self._until, None
        self._reset()
        self.owner, self._until = owner, until
        return self._head

    def head(self, seconds: float) -> Waiter[ResponseHead]:
        if not self._head.settled:
            self._bound(seconds, _NO_FIRST_BYTE)
        return self._head

    def chunk(self, seconds: float) -> Waiter[bytes]:
        waiter: Waiter[bytes] = Waiter()
        if self._chunks:
            waiter.give(self._first())
        elif self._fault is not None:
            waiter.fail(self._fault)
        elif self._whole:
            self._release()
            waiter.give(b"")
        else:
            self._waiting = waiter
            self._bound(seconds, "it was silent for too long in the middle of its answer")
        return waiter

    def pour(self, taker: Taker) -> None:
        """The rest of the body goes to `taker` as it comes."""
        self._taker = taker
        self.look_at_time()
        if not self._held:
            self.go_on()

    def hold(self) -> None:
        """The taker has no room: the socket is left alone."""
        self._held, self._open = True, None
        self.end_line()
        if not self._paused and not self._whole and self.alive:
            self._paused = True
            self._open_transport().pause_reading()

    def go_on(self) -> None:
        """The taker has room: for what waits here first."""
        self._held, taker = False, self._taker
        if taker is None:
            return
        if self._chunks:
            taker.take(self._taken(), b"")
            if self._held:
                return
        elif self._paused:
            self._read_on()
        self._look_open()
        self._end_taking()

    def abort(self, error: BaseException) -> None:
        """Cuts the connection: what it would still say belongs to a call that nobody waits for."""
        self._fail(error)
        self.alive = False
        self.end_line()
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        self.alive = False
        self.end_line()
        if self._transport is not None:
            self._transport.close()

    def _first(self) -> bytes:
        data = self._chunks.pop(0)
        self._buffered -= len(data)
        if self._paused and self._buffered <= HIGH_WATER:
            self._read_on()
        return data

    def _taken(self) -> bytes:
        data = b"".join(self._chunks)  # of one piece it is that piece
        self._chunks.clear()
        self._buffered = 0
        if self._paused:
            self._read_on()
        return data

    def _read_on(self) -> None:
        self._paused = False
        if self.alive:
            self._open_transport().resume_reading()

    def _look_open(self) -> None:
        self._open = self._taker if self._reader.between_frames and not self._held else None
        if self._open is not None and self.line is None and self.tls is None:
            self._begin_line(self._open)

    def _end_taking(self) -> None:
        """Tells the taker that nothing more comes, once it has everything that came before."""
        taker = self._taker
        if taker is None or self._held or self._chunks:
            return
        if self._fault is not None:
            self._taker = self._open = None
            taker.over(self._fault)
        elif self._whole:
            self._taker = self._open = None
            self._release()
            taker.over(None)

    # --- its time --------------------------------------------------------------------------------------------------

    def _bound(self, seconds: float, reason: str) -> None:
        self._until, self._too_late = self._loop.time() + seconds, reason
        self._timer.ring_by(self._until, self._rang)

    def look_at_time(self) -> None:
        """Of a taker, whose patience is asked for when the timer rings, and not at each piece."""
        if self._taker is None:
            return
        try:
            rings = self._loop.time() + self._taker.patience()
        except UpstreamSlow as slow:
            self.abort(slow)
            return
        self._timer.ring_by(rings, self._rang)

    def _rang(self) -> None:
        if self._taker is not None:
            self.look_at_time()
        if self._until is None:
            return
        if self._until > self._loop.time():
            self._timer.ring_by(self._until, self._rang)
        else:
            self.abort(UpstreamSlow(self._too_late))

    def _fail(self, error: BaseException) -> None:
        if self._straight is not None:
            self._straight.leave_the_way()
        self._until = None
        if self._whole:
            return
        self._fault = self._fault or error
        self._head.fail(error)
        if self._waiting is not None:
            self._waiting.fail(error)
        self._end_taking()

    # --- the socket ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's transport, by create_connection

    def data_received(self, data: bytes) -> None:
        # The way of nearly every piece of a stream. `_open` is None where there is more to think of: no taker, or one
        # without room, or a frame that has come in part.
        if (taker := self._open) is not None and taker.take_frame(data):
            return
        if (straight := self._straight) is not None:
            straight.heard(data)
            return
        if self.owner is None:  # nobody asked: the next call would take it for its answer
            self.abort(UpstreamFault("it spoke without being asked"))
            return
        self.heard = True
        try:
            self._reader.feed(data)
        except UpstreamFault as fault:
            self.abort(fault)
            return
        if self._taker is not None:
            self._look_open()

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        self.end_line()
        self._timer.stop()
        if not self._whole:
            self._fail(UpstreamFault("it closed the connection before its answer was whole"))
        self._reader.close()
        self._lost(self)

    # --- the line, see native.py -----------------------------------------------------------------------------------

    def _begin_line(self, taker: Taker) -> None:
        if not self._paused and (socket := lendable(self._open_transport())) is not None:
            self.line = taker.line(socket, lambda: self._open is not None, self.data_received, self.end_line)
            if self.line is not None:
                self._open_transport().pause_reading()

    def begin_engine_line(self, plane: Plane) -> EngineLine | None:
        """Of one that nothing is to be read of here; None where it cannot be read but by its transport."""
        from nexus_native import EngineLine

        if self.tls is not None or (socket := lendable(self._open_transport())) is None:
            return None
        try:
            self.line = line = EngineLine(plane, socket, self)
        except OSError:  # of sockets that are watched there is a most
            return None
        self._open_transport().pause_reading()
        return line

    def write_behind(self, data: bytes) -> None:
        """What the socket has not taken."""
        self._open_transport().write(data)

    def end_line(self, fault: BaseException | None = None) -> None:
        """The transport reads again. `fault`: what was raised meanwhile, and is its end as where it had read itself."""
        line, self.line = self.line, None
        if fault is not None:
            fail(self._loop, self._open_transport(), self, fault)
        if line is not None:
            line.end()
            if self.alive and not self._held and not self._open_transport().is_closing():
                self._open_transport().resume_reading()

    # --- the answer ------------------------------------------------------------------------------------------------

    def began(self, head: ResponseHead) -> None:
        self._until = None
        self._head.give(head)

    def came_in_frames(self, payloads: list[bytes], framed: bytes) -> None:
        """One after the other to who asks for the beginning: an answer that begins well and goes on badly has begun,
        however many frames the socket brings at once."""
        if self._taker is None or self._held:
            for payload in payloads:
                self.came(payload)
        elif payloads:
            self._taker.take(b"".join(payloads), framed)

    def came(self, data: bytes) -> None:
        if self._taker is not None and not self._held:
            self._taker.take(data, b"")
        elif self._waiting is not None and not self._waiting.settled:
            waiter, self._waiting = self._waiting, None
            self._until = None
            waiter.give(data)
        else:
            self._chunks.append(data)
            self._buffered += len(data)
            if self._buffered > HIGH_WATER and not self._paused:
                self._paused = True
                self._open_transport().pause_reading()

    def ended(self, *, keep: bool) -> None:
        if self._fault is not None:
            return  # who took its last bytes has given it up
        self._whole, self._keep, self._until = True, keep, None
        if self._taker is not None:
            self._end_taking()
        elif self._waiting is not None and not self._waiting.settled:
            waiter, self._waiting = self._waiting, None
            self._release()
            waiter.give(b"")

    def _release(self) -> None:
        """Free for another call, once this call's has read the end of its answer: before that, bytes wait here."""
        if self._released:
            return
        self._released, self.used, self.owner = True, True, None
        self.end_line()
        if self._keep and self.alive:
            self._idle(self)
        else:
            self.close()

    def _open_transport(self) -> asyncio.Transport:
        if self._transport is None:
            raise UpstreamFault("it is not connected")
        return self._transport
