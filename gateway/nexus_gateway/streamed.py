"""A stream from the engine's socket to the client's, once it has begun: in their callbacks.

For each piece nothing is made but what goes out: no waiter, no step of the story, no timer. The story waits for the
end alone, and the connection's one timer asks `patience` when it rings.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING

from nexus_gateway.exchange import WRITTEN, Exchange, Waiter
from nexus_gateway.native import plane_of
from nexus_gateway.stream import BadStream, EventReader
from nexus_gateway.telemetry.families import GAPS
from nexus_gateway.telemetry.gaps import Gaps
from nexus_gateway.upstreams.plain_answer import LONGEST_SIZE
from nexus_gateway.upstreams.protocol import Source, UpstreamFault, UpstreamSlow

if TYPE_CHECKING:
    from nexus_native import StreamLine

_AFTER_DONE_SECONDS = 1.0  # for the end of a stream's bytes, once its `[DONE]` has come


class Streamed:
    """The port `Taker`. Times are `time.monotonic`'s."""

    __slots__ = ("_asked", "_deadline", "_exchange", "_gaps", "_held", "_line", "_quiet", "_reader", "_source",
                 "bytes", "ended")  # fmt: skip

    def __init__(
        self, exchange: Exchange, source: Source, reader: EventReader, gaps: Gaps, quiet: float, deadline: float
    ) -> None:
        """`quiet`: seconds for which the engine may say nothing. `reader` has read the beginning already."""
        self._exchange, self._source, self._reader, self._gaps = exchange, source, reader, gaps
        self._quiet, self._deadline = quiet, deadline
        self._asked = 0.0
        """When more was asked of the engine: at its last byte, or when the client has made room."""
        self._held = False
        self._line: StreamLine | None = None
        """Where much of it passes by; what is counted there comes back by `settle`."""
        self.bytes = 0
        """That went out."""
        self.ended: Waiter[None] = Waiter()
        """Fails with UpstreamFault, BadStream or ClientGone."""

    def begin(self, held: bytes) -> None:
        """Sends what was held back, and from then on what comes."""
        self._asked = now = monotonic()
        self.bytes = len(held)
        self._sent(self._exchange.send(held, self._deadline - now))
        if self._reader.done:
            self._quiet = _AFTER_DONE_SECONDS
        if not self.ended.settled:
            self._source.pour(self)

    def go_on_from(self, asked: float, size: int) -> None:
        """Some of it has gone out elsewhere: `size` bytes, and more was `asked` of the engine then."""
        self._asked, self.bytes = asked, size
        if self._reader.done:
            self._quiet = _AFTER_DONE_SECONDS
        self._source.pour(self)

    def take_frame(self, data: bytes) -> bool:
        # Each name that is looked up here counts: with a thousand streams none of it is in the processor's caches.
        # Hence no pattern (it takes twice as long as these four questions), and a gap counted here and not by a call.
        begins, size = _event_of(len(data))
        if self._line is not None:
            self.settle()
        if (
            not data.startswith(begins)
            or not data.endswith(b"}\n\n\r\n")
            or len(data.splitlines()) != 4  # the size's, the event's, the one that ends it, the frame's
            or not self._exchange.flowing
            or not self._reader.plain(data)
        ):
            return False
        now = monotonic()
        waited = now - self._asked
        self._asked = now
        self.bytes += size
        gaps = self._gaps
        if gaps.waited:
            gaps.came(waited, 1)
        else:
            gaps.counts[bisect_left(GAPS, waited)] += 1
            gaps.total += waited
            if waited > gaps.longest:
                gaps.longest = waited
        self._exchange.write(data)
        return True

    def take(self, data: bytes, framed: bytes) -> None:
        if self.ended.settled:
            return
        self.settle()
        now = monotonic()
        keep = self._read(data, now)
        if not keep:
            return
        self.bytes += keep
        if keep < len(data):
            data, framed = data[:keep], b""
        sent = self._exchange.send(data, self._deadline - now, framed)
        if sent is not WRITTEN:
            self._sent(sent)

    def patience(self) -> float:
        self.settle()
        now = monotonic()
        if self._held:  # for the client, and the exchange knows how long
            return self._quiet
        if now >= self._deadline:
            raise UpstreamSlow("its answer took longer than the whole request may")
        seconds = min(self._asked + self._quiet, self._deadline) - now
        if seconds <= 0:
            raise UpstreamSlow("it was silent for too long in the middle of its answer")
        return seconds

    def line(
        self,
        socket: int,
        between: Callable[[], bool],
        deliver: Callable[[bytes], None],
        over: Callable[[BaseException | None], None],
    ) -> StreamLine | None:
        exchange, reader, gaps = self._exchange, self._reader, self._gaps
        sink = exchange.socket()
        if sink is None or reader.done:
            return None
        from nexus_native import StreamLine

        def ready() -> bool:
            return between() and not (gaps.waited or reader.held or reader.done) and exchange.clear()

        self.settle()
        try:
            self._line = StreamLine(
                plane_of(asyncio.get_running_loop()), socket, sink, ready, deliver, over, exchange.write,
                reader.marks, reader.keeps, GAPS, self._asked,
            )  # fmt: skip
        except OSError:  # of sockets that are watched there is a most
            return None
        return self._line

    def settle(self) -> None:
        """Counts what has passed by."""
        if self._line is None:
            return
        self._asked, events, passed, counts, total, longest, last = self._line.taken(self._asked)
        if not events:
            return
        self.bytes += passed
        self._reader.passed_by(events, last)
        self._gaps.add(counts, total, longest)

    def over(self, fault: BaseException | None) -> None:
        self.settle()
        if fault is None and not self._reader.done:
            fault = UpstreamFault("its stream ended before its end mark")
        self._end(fault)

    def _read(self, data: bytes, now: float) -> int:
        """Bytes of `data` that go on."""
        reader, before = self._reader, self._reader.events
        if reader.done:
            self._end(BadStream("it goes on after its end mark"))
            return 0
        try:
            keep = reader.feed(data)
        except BadStream as fault:
            self._end(fault)
            return 0
        self._gaps.came(now - self._asked, reader.events - before)
        self._asked = now  # before anybody asks for patience, who would else count the silence that has just ended
        if reader.done:
            self._quiet = _AFTER_DONE_SECONDS
            self._source.hurry()
        return keep

    # --- backpressure ------------------------------------------------------------------------------------------------

    def _sent(self, sent: Waiter[None]) -> None:
        if not sent.settled:
            self._held = True
            self._source.hold()
            self.settle()
            self._line = None  # it has ended with that; it and its connection's taker would hold each other
            sent.then(lambda: self._has_room(sent))
        elif sent.error is not None:
            self._end(sent.error)

    def _has_room(self, sent: Waiter[None]) -> None:
        self._held, self._asked = False, monotonic()
        if sent.error is not None:
            self._end(sent.error)
        elif not self.ended.settled:
            self._source.go_on()

    def _end(self, fault: BaseException | None) -> None:
        """Whoever waits cuts the engine off, where that is needed."""
        if fault is None:
            self.ended.give(None)
        else:
            self.ended.fail(fault)


@lru_cache(4096)  # engines cut their streams into frames of a few sizes
def _event_of(length: int) -> tuple[tuple[bytes, ...], int]:
    """How a read of so many bytes begins that is one frame with one event of an object, and how long the event is. No
    beginning where there is no such frame: its size takes room too."""
    for digits in range(1, LONGEST_SIZE + 1):
        size = length - digits - 2 * len(b"\r\n")
        if size > 0 and len(b"%x" % size) == digits:
            return tuple({b"%x\r\ndata: {" % size, b"%X\r\ndata: {" % size}), size
    return (), 0
