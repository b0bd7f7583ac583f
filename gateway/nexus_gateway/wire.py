"""The wire edge: a connection that gives plain requests for relayed paths to the story itself, and all else to uvicorn.

FastAPI, Starlette and uvicorn's own reading of a request cost nearly as much as the story does. So a request that
`plain_head.py` takes goes from the socket's callback straight into the story, and the story's answer straight to the
transport. Whatever else comes is handed over before anything of it was touched: uvicorn sees the same bytes as without
this file. One connection may go from one to the other with each request; of requests that are sent behind one another
without waiting, what uvicorn was handed it answers itself.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from nexus_gateway.exchange import drive
from nexus_gateway.gateway import Gateway
from nexus_gateway.late_parts import LateParts
from nexus_gateway.plain_head import END, LARGEST_HEAD, PlainHead, may_become_plain, plain_head
from nexus_gateway.proxy import answer
from nexus_gateway.wire_exchange import WireExchange


class WireProtocol(LateParts):
    __slots__ = ("_admin_port", "_current", "_gateway", "_handed_over", "_held", "_idle_clock", "_idle_since",
                 "_looked_at", "_never_ours", "_unread")  # fmt: skip

    def __init__(self, gateway: Gateway, admin_port: int | None, **given: Any) -> None:
        """`admin_port`: where no path is relayed; None where operators have no port of their own. `given` by uvicorn,
        for each connection."""
        super().__init__(**given)
        self._gateway, self._admin_port = gateway, admin_port
        self._current: WireExchange | None = None
        """The request whose answer is not whole yet."""
        self._held = b""
        """What has come and is nobody's yet: the beginning of a head, or what is behind the current request."""
        self._looked_at = 0
        """Bytes of `_held` that are known to be the beginning of a head that may become plain."""
        self._unread = 0
        """Bytes to come of a body that was answered without having been asked for."""
        self._handed_over = self._never_ours = False
        """Whether uvicorn has what came last, and gets all there is."""
        self._idle_since = 0.0
        self._idle_clock: asyncio.TimerHandle | None = None

    # --- the socket ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        port = self.server[1] if self.server is not None else None
        self._never_ours = self._handed_over = self._admin_port is not None and port == self._admin_port

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        current, self._current, self._held = self._current, None, b""
        if self._idle_clock is not None:
            self._idle_clock.cancel()
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

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._current is not None:
            self._current.has_room()
        else:
            self._look_again()

    # --- whose is it -----------------------------------------------------------------------------------------------

    def _look(self, data: bytes) -> None:
        """`data` is all that has come since the last request's head or body."""
        self._handed_over, self._held = False, b""
        looked_at, self._looked_at = self._looked_at, 0
        self._unset_keepalive_if_required()
        if self._unread:
            unread = min(self._unread, len(data))
            self._unread, self._idle_since = self._unread - unread, self.loop.time()
            if not (data := data[unread:]):
                return
        end = data.find(END, 0, LARGEST_HEAD)
        if end >= 0 and (plain := plain_head(data[: end + 2])) is not None:
            self._begin(plain, data[end + len(END) :])
        elif end < 0 and may_become_plain(data, looked_at):
            self._held, self._looked_at = data, len(data)
            self._start_clock()
        else:
            self._handed_over = True
            super().data_received(data)

    def _begin(self, plain: PlainHead, rest: bytes) -> None:
        self._stop_clock()
        exchange = self._current = WireExchange(self, plain)
        self._held = rest[plain.length :]
        exchange.take(rest[: plain.length])
        # Among uvicorn's tasks, though it is none: what uvicorn waits for when it stops, and cancels in the end.
        self.tasks.add(exchange)  # type: ignore[arg-type]
        drive(answer(self._gateway, exchange, plain.surface), exchange.finished)

    def answered(self, exchange: WireExchange) -> None:
        """Its answer is whole, and with the transport."""
        self._current = None
        if self.transport.is_closing():
            return
        if not exchange.keeps:
            self.transport.close()
            return
        self._unread = exchange.missing
        self._read_on()
        self._rest()
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

    # --- uvicorn ---------------------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """uvicorn stops: what is under way is finished, and then the connection."""
        if self._current is not None:
            self._current.keeps = False
        else:
            super().shutdown()

    # --- idle connections ------------------------------------------------------------------------------------------

    def _rest(self) -> None:
        """One clock that is set again when it rings too early, where uvicorn has one for each request."""
        self._idle_since = self.loop.time()
        if self._idle_clock is None:
            self._idle_clock = self.loop.call_later(self.timeout_keep_alive, self._look_idle)

    def _look_idle(self) -> None:
        self._idle_clock = None
        if self._current is not None or self._handed_over or self._held:
            return  # other clocks are running, and the next answer sets this one
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._idle_clock = self.loop.call_later(left, self._look_idle)
        else:
            self.transport.close()
