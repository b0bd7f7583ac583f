"""The wire edge: a connection that gives plain requests for relayed paths to the story itself, and all else to uvicorn.

FastAPI, Starlette and uvicorn's own reading of a request cost nearly as much as the story does. So a request that
`plain_head.py` takes goes from the socket's callback straight into the story, and the story's answer straight to the
transport. Whatever else comes is handed over before anything of it was touched: uvicorn sees the same bytes as without
this file. One connection may go from one to the other with each request; of requests that are sent behind one another
without waiting, what uvicorn was handed it answers itself.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from nexus_gateway.asked import LARGEST, Asked, read_body
from nexus_gateway.exchange import drive
from nexus_gateway.gateway import Gateway
from nexus_gateway.late_parts import LateParts
from nexus_gateway.limits.limiter import Admitted
from nexus_gateway.native import fail, lendable
from nexus_gateway.plain_head import END, LARGEST_HEAD, PlainHead, may_become_plain, plain_head
from nexus_gateway.proxy import answer
from nexus_gateway.snapshot import Snapshot
from nexus_gateway.straight.exchange import BegunStream, StraightExchange
from nexus_gateway.straight.heads import KnownHead
from nexus_gateway.straight.setting_out import set_out
from nexus_gateway.straight.way import Way
from nexus_gateway.upstreams.connection import Connection
from nexus_gateway.wire_exchange import WireExchange

if TYPE_CHECKING:
    from nexus_native import ClientLine, Events, Form, NativeWay

_LATE = 64 << 10
"""Bytes of a body that is waited for before the story begins."""
LATE_SECONDS = 0.02
_STREAM = Asked("", stream=True)
"""What is left of what was asked for, once its stream has begun."""


class WireProtocol(LateParts):
    __slots__ = ("_admin_port", "_current", "_gateway", "_handed_over", "_held", "_idle_clock", "_idle_since",
                 "_late_clock", "_line", "_looked_at", "_never_ours", "_room_clock", "_room_seconds", "_unread",
                 "_waited")  # fmt: skip

    def __init__(self, gateway: Gateway, admin_port: int | None, **given: Any) -> None:
        """`admin_port`: where no path is relayed; None where operators have no port of their own. `given` by uvicorn,
        for each connection."""
        super().__init__(**given)
        self._gateway, self._admin_port = gateway, admin_port
        self._current: WireExchange | StraightExchange | None = None
        """The request whose answer is not whole yet."""
        self._held = b""
        """What has come and is nobody's yet: the beginning of a head, or what is behind the current request."""
        self._looked_at = 0
        """Bytes of `_held` that are known to be the beginning of a head that may become plain."""
        self._unread = 0
        """Bytes to come of a body that was answered without having been asked for."""
        self._late_clock: asyncio.TimerHandle | None = None
        """Runs while the rest of a body is waited for."""
        self._waited = False
        """Whether that has been in vain for the head that is held."""
        self._handed_over = self._never_ours = False
        """Whether uvicorn has what came last, and gets all there is."""
        self._room_seconds = 0.0
        self._room_clock: asyncio.TimerHandle | None = None
        """Runs while a client does not take the end of an answer: else it keeps the connection, and all that waits."""
        self._line: ClientLine | None = None
        """What reads and writes the socket in the transport's stead, see straight/compiled.py."""
        self._idle_since = 0.0
        self._idle_clock: asyncio.TimerHandle | None = None

    # --- the socket ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        port = self.server[1] if self.server is not None else None
        self._never_ours = self._handed_over = self._admin_port is not None and port == self._admin_port

    def eof_received(self) -> None:
        self._wait_no_more()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)
        if self._line is not None:
            self._line.hand_back()
        current, self._current, self._held = self._current, None, b""
        for clock in (self._idle_clock, self._room_clock):
            if clock is not None:
                clock.cancel()
        if current is not None:
            current.leave()

    def data_received(self, data: bytes) -> None:
        if (current := self._current) is not None:
            body, behind = data[: current.missing], data[current.missing :]
            if behind:  # kept before the story hears of its body: it may end in there, and the next is looked for
                self._hold(self._held + behind)
            if body:
                current.take(body)
        elif self._handed_over and (self._never_ours or not self.rests()):
            super().data_received(data)
        elif self.flow.write_paused:  # the client does not take the last answer
            self._hold(self._held + data)
        else:
            self._look(self._held + data)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._current is not None:
            self._current.has_no_room()
        elif not self._handed_over and self._room_clock is None:
            self._room_clock = self.loop.call_later(max(0.0, self._room_seconds), self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._room_clock is not None:
            self._room_clock.cancel()
            self._room_clock = None
        if self._current is not None:
            self._current.has_room()
        else:
            self._look_again()

    # --- whose is it -----------------------------------------------------------------------------------------------

    def _look(self, data: bytes) -> None:
        """`data` is all that has come since the last request's head or body."""
        self.write_out()
        self._handed_over, self._held = False, b""
        looked_at, self._looked_at = self._looked_at, 0
        self._unset_keepalive_if_required()
        if self._unread:
            unread = min(self._unread, len(data))
            self._unread, self._idle_since = self._unread - unread, self.loop.time()
            if not (data := data[unread:]):
                return
        end = data.find(END, 0, LARGEST_HEAD)
        if end >= 0 and self._take(data[: end + 2], data[end + len(END) :]):
            return
        if end < 0 and may_become_plain(data, looked_at):
            self._held, self._looked_at = data, len(data)
            self._start_clock()
        else:
            self._handed_over = True
            super().data_received(data)

    def _take(self, head: bytes, rest: bytes) -> bool:
        """False where the head is no plain one: nothing has been done then."""
        heads, plain = self._gateway.heads, None
        waited, self._waited = self._waited, False
        if (found := heads.find(head)) is not None:
            known, length = found
        elif (plain := plain_head(head)) is not None:
            known, length = KnownHead(plain), plain.length
        else:
            return False
        if known.digest is not None and len(rest) < length <= _LATE and not waited:
            self._wait(head + b"\r\n" + rest)
            return True
        if self._late_clock is not None:
            self._late_clock.cancel()
            self._late_clock = None
        if len(rest) >= length <= LARGEST and known.digest is not None:
            straight = set_out(self._gateway, self, known, plain, rest[:length])
            if straight is not None:
                if plain is not None:  # its key is a good one: what anybody writes is not kept
                    heads.keep(head, known)
                self._stop_clock()
                self._current, self._held = straight, rest[length:]
                self.tasks.add(straight)  # type: ignore[arg-type]  # as below
                return True
        self._begin(plain or known.plain(length), rest)
        return True

    def _wait(self, data: bytes) -> None:
        """For the rest of a body: many clients write it behind the head, and what is all there may go straight."""
        self._stop_clock()
        self._held = data
        if self._late_clock is None:
            self._late_clock = self.loop.call_later(LATE_SECONDS, self._wait_no_more)

    def _wait_no_more(self) -> None:
        """What comes of it is the story's to say."""
        if self._late_clock is None:
            return
        self._late_clock.cancel()
        self._late_clock, self._waited = None, True
        if not self.flow.write_paused:
            self._look(self._held)

    def _begin(self, plain: PlainHead, rest: bytes) -> None:
        self._stop_clock()
        exchange = self._current = WireExchange(self, plain)
        self._held = rest[plain.length :]
        exchange.take(rest[: plain.length])
        # Among uvicorn's tasks, though it is none: what uvicorn waits for when it stops, and cancels in the end.
        self.tasks.add(exchange)  # type: ignore[arg-type]
        drive(answer(self._gateway, exchange, plain.surface), exchange.finished)

    def go_on_with(self, straight: StraightExchange, exchange: WireExchange) -> None:
        """`straight` has left its way."""
        if straight.known.cut is not None:  # else it holds what the client wrote, for as long as a stream is open
            exchange.known, exchange.way = straight.known, straight.way
        if self._current is straight:
            self._current = exchange
        self.tasks.discard(straight)
        self.tasks.add(exchange)  # type: ignore[arg-type]  # as above

    def carries(self, exchange: StraightExchange) -> bool:
        return self._current is exchange

    @property
    def native(self) -> bool:
        return self._gateway.native

    def answered(self, exchange: WireExchange | StraightExchange, seconds: float) -> None:
        """Its answer is whole, and was written. The client takes `seconds` for it at most."""
        self._current, self._room_seconds = None, seconds
        if self.transport.is_closing():
            return
        if not exchange.keeps:
            self.close()
            return
        self._unread = exchange.missing
        self._read_on()
        self.rest()
        known, way = exchange.known, exchange.way
        if self._gateway.native and known is not None and way is not None and way.native:
            self.loop.call_soon(self._begin_line, known, way.name, True)
        if self._held:
            # Later, and not in here: this may be the callback of the connection that the next request would take.
            self.loop.call_soon(self._look_again)

    def _look_again(self) -> None:
        if self._held and self._current is None and not (self.flow.write_paused or self.transport.is_closing()):
            self._read_on()
            self._look(self._held)

    def _hold(self, data: bytes) -> None:
        self._held = data
        if len(data) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def _read_on(self) -> None:
        """Unless so much is held that it must be worked off first."""
        if len(self._held) <= HIGH_WATER_LIMIT:
            self.flow.resume_reading()

    # --- C -----------------------------------------------------------------------------------------------------------

    def _begin_line(self, known: KnownHead, model: str, again: bool) -> None:
        """The next request over it is likely to be such a one. `again`: the loop writes at the end of its turn."""
        transport = self.transport
        busy = self._line is not None or self._current is not None or self._held or self._handed_over or self._unread
        if busy or self.flow.write_paused:
            return
        if (socket := lendable(transport)) is not None:
            self._line = self._gateway.compiled().line(self, socket, known, model)
        elif again:
            self.loop.call_soon(self._begin_line, known, model, False)
        if self._line is not None:
            transport.pause_reading()

    def lend(self, straight: StraightExchange) -> None:
        """C hears the answer, and the next request over it."""
        if self._current is not straight or self._held or self.flow.write_paused:
            return
        sent, socket = straight.sent(), lendable(self.transport)
        if sent is None:
            return
        line = self._gateway.compiled().take_over(self, socket, sent) if socket is not None else None
        if line is not None:
            self._line, self._current = line, None
            self.tasks.discard(straight)
            self.transport.pause_reading()

    def end_line(self, fault: BaseException | None = None) -> None:
        """The transport reads and writes again. `fault`: what was raised meanwhile, and is its end."""
        line, self._line = self._line, None
        if fault is not None:
            fail(self.loop, self.transport, self, fault)
        if line is not None:
            self._idle_since = line.idle_since
            line.end()
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def log_forms(self, way: NativeWay) -> tuple[Form, Form]:
        return self._gateway.compiled().log_forms(way, self)

    def go_on_from(
        self, way: Way, snapshot: Snapshot, known: KnownHead, body: bytes, admitted: Admitted | None, ids: str,
        started: float, until: float, engine: Connection,
    ) -> None:  # fmt: skip
        """With a request that C has sent. `ids` are the digits of its four."""
        asked = read_body(body)
        self._left_by_c(way, snapshot, known, body, asked, admitted, ids, started).has_called(engine, until)

    def go_on_with_stream(
        self, way: Way, snapshot: Snapshot, known: KnownHead, size: int, admitted: Admitted | None, ids: str,
        started: float, first_byte: float, events: Events, keeps: bool, engine: Connection,
    ) -> None:  # fmt: skip
        """As above, whose answer has begun."""
        exchange = self._left_by_c(way, snapshot, known, b"", _STREAM, admitted, ids, started)
        exchange.has_begun(BegunStream(size, first_byte, events, keeps), engine)

    def _left_by_c(
        self, way: Way, snapshot: Snapshot, known: KnownHead, body: bytes, asked: Asked, admitted: Admitted | None,
        ids: str, started: float,
    ) -> StraightExchange:  # fmt: skip
        exchange = self._current = StraightExchange(
            self._gateway, self, known, None, snapshot, way, asked, (body, body, body), admitted, started
        )
        exchange.has_ids(ids[:32], ids[32:64], ids[64:80], ids[80:])
        self.tasks.add(exchange)  # type: ignore[arg-type]  # as above
        return exchange

    def write_behind(self, data: bytes, until: float) -> None:
        """The rest of an answer, which the client takes by then."""
        self._room_seconds = until - monotonic()
        self.transport.write(data)

    # --- uvicorn ---------------------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """uvicorn stops: what is under way is finished, and then the connection."""
        if self._line is not None:
            self._line.hand_back()
        self._wait_no_more()
        if self._current is not None:
            self._current.keeps = False
        else:
            super().shutdown()

    # --- idle connections ------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """An answer is whole. One clock, set again when it rings too early, where uvicorn has one for each request."""
        self._idle_since = self.loop.time()
        if self._idle_clock is None:
            self._idle_clock = self.loop.call_later(self.timeout_keep_alive, self._look_idle)

    def _look_idle(self) -> None:
        self._idle_clock = None
        if (line := self._line) is not None:
            self._idle_since = self.loop.time() if line.asks else line.idle_since
        if self._current is not None or self._handed_over or self._held:
            return  # other clocks are running, and the next answer sets this one
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._idle_clock = self.loop.call_later(left, self._look_idle)
        else:
            self.end_line()
            self.transport.close()
