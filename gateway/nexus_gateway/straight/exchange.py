"""One request on the straight way: to the engine in one function, back to the client in another."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from nexus_gateway.admission import counted, headers_of
from nexus_gateway.asked import Asked
from nexus_gateway.exchange import drive
from nexus_gateway.gateway import Gateway
from nexus_gateway.limits.limiter import Admitted
from nexus_gateway.limits.windows import verdict_of
from nexus_gateway.plain_head import PlainHead
from nexus_gateway.proxy import go_on
from nexus_gateway.relay import Begun
from nexus_gateway.request import Request
from nexus_gateway.snapshot import Snapshot
from nexus_gateway.straight.heads import KnownHead
from nexus_gateway.straight.usage import usage_in
from nexus_gateway.straight.way import Way
from nexus_gateway.stream import EventReader, Usage
from nexus_gateway.streamed import Streamed
from nexus_gateway.telemetry.gaps import Gaps
from nexus_gateway.telemetry.record import RequestRecord
from nexus_gateway.trace import Trace, new_ids, new_span_id, trace
from nexus_gateway.tries import try_of
from nexus_gateway.upstream_call import JSON, lines_for
from nexus_gateway.upstreams.connection import Connection
from nexus_gateway.upstreams.http import HttpAnswer
from nexus_gateway.upstreams.plain_answer import END, LARGEST_PLAIN, plain_answer
from nexus_gateway.upstreams.protocol import Call
from nexus_gateway.upstreams.pulled import source_of
from nexus_gateway.wire_exchange import WireExchange

if TYPE_CHECKING:
    from nexus_native import Events

    from nexus_gateway.wire import WireProtocol


class BegunStream(NamedTuple):
    """What C has relayed of a stream, and how."""

    size: int
    """Bytes of the request's body."""
    first_byte: float
    """When it went out, of a clock that does not go back."""
    events: Events
    keeps: bool
    """Whether the engine's connection may carry another call after it."""


class Sent(NamedTuple):
    """What C is told of a request that Python has sent to the engine."""

    known: KnownHead
    way: Way
    snapshot: Snapshot
    body: bytes
    streams: bool
    admitted: Admitted | None
    ids: str
    """The digits of its four."""
    started: float
    until: float
    """When its answer must have begun."""
    engine: Connection


class StraightExchange:
    """What a `WireExchange`, a `Request`, a call and their coroutine are to a request of the story."""

    __slots__ = ("_admitted", "_asked", "_body", "_call_span", "_called", "_connecting", "_engine", "_gateway",
                 "_held", "_ids", "_plain", "_sent", "_snapshot", "_started", "_until", "_wire", "keeps", "known",
                 "missing", "way")  # fmt: skip

    def __init__(
        self,
        gateway: Gateway,
        wire: WireProtocol,
        known: KnownHead,
        plain: PlainHead | None,
        snapshot: Snapshot,
        way: Way,
        asked: Asked,
        bodies: tuple[bytes, bytes, bytes],
        admitted: Admitted | None,
        started: float,
    ) -> None:
        """`bodies`: as it was sent, as the policy lets it go on, and as the engine is told it. `started`: seconds of
        a clock that does not go back."""
        self._gateway, self._wire, self.known, self._plain = gateway, wire, known, plain
        self._snapshot, self.way, self._asked = snapshot, way, asked
        self._sent, self._held, self._body = bodies
        self._connecting: HttpAnswer | None = None
        self._admitted, self._started, self.keeps, self.missing = admitted, started, known.keeps, 0
        if plain is not None and known.has_ids:
            self._ids, self._call_span = trace(plain.head), new_span_id()
        else:
            self.has_ids(*new_ids())

    def has_ids(self, request_id: str, trace_id: str, span_id: str, call_span: str) -> None:
        self._ids, self._call_span = Trace(request_id, trace_id, span_id, "01"), call_span

    # --- there -----------------------------------------------------------------------------------------------------

    def call(self) -> None:
        gateway, way = self._gateway, self.way
        gateway.metrics.in_flight += 1
        gateway.endpoints.begun(way.endpoint)
        called = self._called = time.monotonic()
        timeouts = way.candidate.route.timeouts
        seconds = min(timeouts.first_byte, self._started + timeouts.total - called)
        if (engine := way.pool.take()) is not None:
            self._send(engine, engine.time() + seconds)
        else:
            self._connecting = way.pool.send(self._call())
            self._connecting.connect(self._send, seconds).then(self.leave_the_way)

    def _send(self, engine: Connection, until: float) -> None:
        way, ids, body, wire = self.way, self._ids, self._body, self._wire
        self._engine, self._connecting, self._until = engine, None, until
        head = way.ask_form % (ids.request_id, ids.trace_id, ids.trace_id, self._call_span, ids.flags, len(body))
        engine.send_straight(self, head.encode("latin-1"), body, until)
        if wire.native and way.native and not self.known.has_ids:
            wire.loop.call_soon(wire.lend, self)

    def sent(self) -> Sent | None:
        """Once the engine is asked; None where it has answered, where it was told another body than the client's, and
        where the connection ends with the answer."""
        engine, ids = self._engine, self._ids
        if self._body is not self._sent or not self.keeps or engine.owner is not self:
            return None
        digits = ids.request_id + ids.trace_id + ids.span_id + self._call_span
        streams = self._asked.stream and self.way.surface.streams
        return Sent(
            self.known, self.way, self._snapshot, self._body, streams, self._admitted, digits, self._started,
            self._until, engine,
        )  # fmt: skip

    def has_called(self, engine: Connection, until: float) -> None:
        """As it began, and had been sent elsewhere."""
        self._engine, self._called, self._until = engine, self._started, until
        engine.end_line()
        engine.straight_since(self, until)

    def has_begun(self, stream: BegunStream, engine: Connection) -> None:
        """The story goes on with a stream, as if it had relayed it until now."""
        gateway, way, ids, record = self._gateway, self.way, self._ids, self._record()
        exchange = WireExchange(self._wire, replace(self.known.plain(0), keeps=self.keeps))
        record.status, record.first_byte, record.request_bytes = 200, stream.first_byte, stream.size
        asked, counts, total, longest = stream.events.gaps()
        record.gaps = Gaps()
        record.gaps.add(counts, total, longest)
        request = Request(
            exchange, self._snapshot, ids, record, way.caller, way.surface, self._asked, b"", b"",
            way.candidate.route, salt=gateway.salt,
        )  # fmt: skip
        request.size = stream.size
        request.let_go()
        called = try_of(way.candidate, self._call_span, self._started)
        record.tries.append(called)
        answer, timeouts = way.pool.adopt_stream(engine, keep=stream.keeps), way.candidate.route.timeouts
        reader, events = EventReader(way.surface.ends, keeps=False), stream.events
        usage = Usage(events.prompt, events.completion, events.cached) if events.told_usage else None
        reader.go_on_from(events.events, usage, done=events.done)
        streamed = Streamed(
            exchange, source_of(answer), reader, record.gaps, timeouts.chunk, self._started + timeouts.total
        )
        self._wire.go_on_with(self, exchange)
        exchange.go_on()
        streamed.go_on_from(asked, events.bytes)
        held = None if self._admitted is None else self._admitted[1]
        story = go_on(gateway, request, way.candidate, called, answer, held, Begun(streamed, reader))
        drive(story, exchange.finished)

    # --- and back --------------------------------------------------------------------------------------------------

    def heard(self, data: bytes) -> None:
        end = data.find(END, 0, LARGEST_PLAIN)
        plain = plain_answer(data[: end + 2]) if end >= 0 else None
        if plain is not None and plain.straight and plain.length == len(data) - end - len(END):
            body, now = data[end + len(END) :], time.monotonic()
            way = self.way
            late = now - self._started >= way.candidate.route.timeouts.total
            streams = self._asked.stream and way.surface.streams  # what comes whole is no stream
            usage = None if late or streams or self._wire.flow.write_paused else usage_in(body)
            if usage is not None:
                self._engine.rest(keep=plain.keeps)
                self._answer(body, now)
                self._conclude(usage, len(body), now)
                return
        engine = self._engine
        self.leave_the_way()
        engine.data_received(data)

    def _answer(self, body: bytes, now: float) -> None:
        ids, wire, admitted = self._ids, self._wire, self._admitted
        left = () if admitted is None else admitted[0]
        form = self.way.answer_form % (
            len(body), ids.request_id, ids.trace_id, ids.trace_id, ids.span_id, ids.flags, *left
        )  # fmt: skip
        last = b"\r\n" if self.keeps else b"connection: close\r\n\r\n"
        wire.write(b"%b%b%b%b" % (wire.first_lines(), form.encode("latin-1"), last, body))
        wire.answered(self, self._started + self.way.candidate.route.timeouts.total - now)
        wire.tasks.discard(self)

    def _conclude(self, usage: Usage, size: int, now: float) -> None:
        """What the story does after an answer."""
        gateway, way, record = self._gateway, self.way, self._record()
        record.status, record.first_byte, record.answer_bytes = 200, now, size
        record.prompt_tokens, record.completion_tokens, record.cached_tokens = usage
        owner = way.caller.key.owner
        gateway.breakers.succeeded(way.endpoint)  # others may have failed since this one set out
        gateway.endpoints.ended(way.endpoint)
        gateway.parallel.leave(owner)
        if self._admitted is not None:
            gateway.limiter.settle(self._admitted[1], counted(way.caller.policy, record))
        gateway.metrics.in_flight -= 1
        record.ended = time.monotonic()
        if gateway.spans is not None:
            called = try_of(way.candidate, self._call_span, self._called)
            called.status, called.ended = "200", record.ended
            record.tries.append(called)
        if way.usual is None:
            way.usual = gateway.metrics.usual_of(way.kind)
        gateway.metrics.count_as(record, way.usual, record.ended - self._called)
        gateway.tell(record)

    # --- where it ends before its end ------------------------------------------------------------------------------

    def leave_the_way(self) -> None:
        self._left()

    def _left(self) -> WireExchange:
        """The story goes on from here, as if it had sent the call."""
        gateway, way, wire, record, ids = self._gateway, self.way, self._wire, self._record(), self._ids
        exchange = WireExchange(wire, self._plain_head())
        if self._admitted is not None:
            record.limit_headers = headers_of(verdict_of(self._admitted[0], way.caller.limits))
        request = Request(
            exchange, self._snapshot, ids, record, way.caller, way.surface, self._asked, self._sent,
            self._held, way.candidate.route, salt=gateway.salt,
        )  # fmt: skip
        called = try_of(way.candidate, self._call_span, self._called)
        record.tries.append(called)
        answer = self._answer_awaited()
        wire.go_on_with(self, exchange)
        held = None if self._admitted is None else self._admitted[1]
        drive(go_on(gateway, request, way.candidate, called, answer, held), exchange.finished)
        return exchange

    def _answer_awaited(self) -> HttpAnswer:
        """By the story."""
        if self._connecting is not None:
            self._connecting.go_on_alone()
            return self._connecting
        return self.way.pool.adopt(self._engine, self._call(), self._until)

    def _call(self) -> Call:
        way = self.way
        lines = JSON + lines_for(self._ids, way.candidate.upstream, self._call_span)
        return Call(way.surface.path, lines, self._body, total_seconds=way.candidate.route.timeouts.total)

    def _plain_head(self) -> PlainHead:
        """Whose body has come."""
        plain = self._plain or self.known.plain(len(self._sent))
        return replace(plain, length=0, keeps=self.keeps)

    def _record(self) -> RequestRecord:
        way, ids, client = self.way, self._ids, self._wire.client
        record = RequestRecord("POST", way.surface.path, client[0] if client is not None else "", self._started)
        record.request_id, record.trace_id, record.revision = ids.request_id, ids.trace_id, self._snapshot.revision
        record.span_id, record.parent_id, record.sampled = ids.span_id, ids.parent_id, ids.sampled
        record.key_id, record.tenant, record.request_bytes = way.caller.key.id, way.caller.tenant, len(self._sent)
        route = way.candidate.route
        record.route = record.model = route.name
        record.telemetry = way.caller.policy.telemetry or route.telemetry
        record.stream = self._asked.stream and way.surface.streams
        record.upstream, record.release = way.candidate.upstream.name, way.candidate.upstream.release
        return record

    # --- what the connection tells, as to a `WireExchange` ---------------------------------------------------------

    def take(self, data: bytes) -> None:
        """All of the body has come before."""

    def has_no_room(self) -> None:
        """Seen when the answer is there."""

    def has_room(self) -> None:
        """As above."""

    def leave(self) -> None:
        """The client has gone."""
        self._left().leave()

    def cancel(self, msg: str | None = None) -> None:
        """See `WireExchange.cancel`."""
        self._wire.loop.call_soon(self._cut)

    def _cut(self) -> None:
        if self._wire.carries(self):
            self._left().cut()
