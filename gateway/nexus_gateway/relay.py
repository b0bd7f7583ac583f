"""One call of an engine, from its first byte to its last, and what it says of the engine's health.

Before the answer has begun, a fault is a `TryFailed`, and another engine may be asked. After that it is a `Broken`
answer: nothing is ever begun twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from nexus_gateway.breaker import is_failure
from nexus_gateway.endings import ending_in, ending_of
from nexus_gateway.errors import (
    API_NOT_SERVED,
    STREAM_BROKEN,
    UPSTREAM_FAILED,
    UPSTREAM_RATE_LIMITED,
    UPSTREAM_TIMEOUT,
    ClientGone,
    Condition,
    Refusal,
)
from nexus_gateway.exchange import NO_HEADERS, Headers, Waiter
from nexus_gateway.request import Request
from nexus_gateway.routing import Timeouts
from nexus_gateway.stream import LARGEST_EVENT, NOTHING, BadStream, EventReader, Usage, usage_of
from nexus_gateway.streamed import Streamed
from nexus_gateway.telemetry.gaps import Gaps
from nexus_gateway.telemetry.record import RequestRecord, Try
from nexus_gateway.trace import Trace
from nexus_gateway.upstreams.protocol import Answer, ResponseHead, UnusableAnswer, UpstreamFault, UpstreamSlow
from nexus_gateway.upstreams.pulled import source_of

LARGEST_ANSWER = 16 << 20
"""Bytes of an answer that is not streamed."""
STREAM_HEADERS: Headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
LARGEST_COMPLAINT = 64 << 10
"""Bytes of an engine's 4xx answer."""
PASSED_ON = (400, 404, 409, 413, 422)
"""Statuses of an engine that are the client's business, and reach it in the engine's own words."""


@dataclass(eq=False)
class TryFailed(Exception):
    """Nothing has been sent to the client. `reason` may be told to it."""

    condition: Condition
    reason: str
    unhealthy: bool
    """True where it speaks against the engine: its breaker counts it."""
    retry_after: int = 0
    """Seconds that the engine asked for; 0 where it did not."""


class Broken(Refusal):
    """The answer had begun."""


class Begun(NamedTuple):
    """A stream that is under way."""

    streamed: Streamed
    reader: EventReader


First = Callable[[Mapping[str, object]], Waiter[None]]
"""Told of an answer's first document before any of it goes out, and waited for."""


async def relay(
    request: Request, call: Answer, timeouts: Timeouts, called: Try, first: First, begun: Begun | None = None
) -> None:
    """Sends the answer on. Raises TryFailed, Broken or ClientGone; whatever it raises, the engine is cut off. `begun`:
    a stream of which some has gone out already."""
    record = request.record
    try:
        if begun is None:
            heard = await call.head(min(timeouts.first_byte, left(record.started + timeouts.total)))
            called.status = str(heard.status)
            if heard.status != 200 or not record.stream:
                await relay_whole(request, call, heard, timeouts, first)
                return
            del heard  # a stream is open for minutes
            begun = await begin_stream(request, call, timeouts, called, first)
        called.status = "200"
        await relay_rest(request, call, called, begun)
    except ClientGone:
        called.status = called.status or "cancelled"
        call.abort(ClientGone())
        raise
    except (UpstreamFault, BadStream) as fault:
        if called.status in ("", "200"):
            called.status = "error"
        call.abort(fault)
        raise _told(fault.with_traceback(None)) from None  # the call keeps it, and it would keep this frame's call
    except BaseException as error:
        call.abort(error)
        raise


async def begin_stream(request: Request, call: Answer, timeouts: Timeouts, called: Try, first: First) -> Begun:
    """Holds the head back until the first event is whole and sound; from then on bytes go through as they come, and
    a failure becomes one terminal error event, never the end mark."""
    exchange, record = request.exchange, request.record
    deadline = record.started + timeouts.total
    begin_by = min(called.started + timeouts.first_byte, deadline)  # comments are no beginning
    asks_why = record.considered is not None or record.drawn is not None  # it ended
    reader, held = EventReader(request.surface.ends, keeps=asks_why), b""
    while not reader.events:
        data = await call.chunk(left(begin_by))
        if not data:
            raise UpstreamFault("its stream ended before it began")
        held += data[: reader.feed(data)]
        if len(held) > LARGEST_EVENT:
            raise BadStream("its stream does not begin")
    await first(reader.first)
    reader.first = NOTHING
    left(deadline)  # here, since it may raise: what has begun is begun once
    record.status, record.gaps = 200, Gaps()
    record.first_byte = time.monotonic()
    record.gaps.came(0.0, reader.events - 1)  # the first one is no gap
    exchange.start(200, [*STREAM_HEADERS, *origin(request.ids, record)])
    record.limit_headers = NO_HEADERS  # they are sent, and a stream is open for minutes
    request.let_go()
    streamed = Streamed(exchange, source_of(call), reader, record.gaps, timeouts.chunk, deadline)
    streamed.begin(held)
    return Begun(streamed, reader)


async def relay_rest(request: Request, call: Answer, called: Try, begun: Begun) -> None:
    """Of a stream that has begun."""
    record, streamed, reader = request.record, begun.streamed, begun.reader
    try:
        await streamed.ended
    except (UpstreamFault, BadStream) as fault:
        if not reader.done:
            called.status = "error"  # whatever its head has said
            raise Broken(STREAM_BROKEN, str(fault)) from None
        call.abort(fault)  # the answer is whole; only the connection is of no more use
    finally:
        streamed.settle()
        record.answer_bytes = streamed.bytes
        record.prompt_tokens, record.completion_tokens, record.cached_tokens = reader.usage or Usage()
        record.events = reader.events
        if reader.keeps:
            record.ending = ending_in(reader.last)
    request.exchange.end()


async def relay_whole(request: Request, call: Answer, heard: ResponseHead, timeouts: Timeouts, first: First) -> None:
    """An answer in one piece: read to its end, looked at, sent on."""
    exchange, record = request.exchange, request.record
    if heard.first(b"content-encoding") not in (b"", b"identity"):
        raise UpstreamFault("its answer is compressed, which was not asked for")
    limit = LARGEST_ANSWER if heard.status == 200 else LARGEST_COMPLAINT
    pieces, size = [], 0
    deadline = record.started + timeouts.total
    while data := await call.chunk(min(timeouts.chunk, left(deadline))):
        size += len(data)
        if size > limit:
            raise UpstreamFault("its answer is too large")
        pieces.append(data)
    body = b"".join(pieces)
    judge(heard)
    document = _object(body)
    if heard.status == 404 and "error" not in document:
        raise _unspoken()  # the web framework's 404: the engine has no such path
    if heard.status == 200:
        record.prompt_tokens, record.completion_tokens, record.cached_tokens = usage_of(document) or Usage()
        record.ending = ending_of(document)
        await first(document)
    seconds = left(deadline)  # here, since it may raise: then another engine is asked, and nothing may have begun
    record.status, record.first_byte, record.answer_bytes = heard.status, time.monotonic(), len(body)
    exchange.start(
        heard.status,
        [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *origin(request.ids, record)],
    )
    await exchange.send(body, seconds)
    exchange.end()


def left(deadline: float) -> float:
    """Seconds until `deadline`. Raises UpstreamSlow when it has passed: bytes that never stop coming are no reason
    to go on."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise UpstreamSlow("its answer took longer than the whole request may")
    return seconds


def judge(heard: ResponseHead) -> None:
    """What of an engine's refusals is the client's business. Raises TryFailed or UpstreamFault for what is not."""
    status = heard.status
    if status == 429:
        seconds = clamped(heard.first(b"retry-after"))
        raise TryFailed(UPSTREAM_RATE_LIMITED, "it has too much to do", False, seconds)
    if status in (401, 403, 407):
        raise UpstreamFault("it refused this gateway's credential")
    if status in (405, 501):
        raise _unspoken()
    if status == 200 or status in PASSED_ON:
        return
    if status == 503 and heard.first(b"retry-after"):
        raise TryFailed(UPSTREAM_FAILED, "it answered 503", True, clamped(heard.first(b"retry-after")))
    if is_failure(status):
        raise UpstreamFault(f"it answered {status}")
    raise UpstreamFault(f"it answered {status}, which no client can use")


def _unspoken() -> TryFailed:
    return TryFailed(API_NOT_SERVED, "it does not speak this API", unhealthy=False)


def origin(ids: Trace, record: RequestRecord) -> Headers:
    """Where the answer comes from."""
    return [
        *ids.headers,
        (b"x-nexus-revision", record.revision.encode()),
        *([(b"x-nexus-route", record.route.encode())] if record.route else []),
        *([(b"x-nexus-release", record.release.encode())] if record.release else []),
        *([(b"x-fallback-model", record.fallback_model.encode())] if record.fallback_model else []),
        *record.limit_headers,
    ]


def clamped(value: bytes) -> int:
    """Whole seconds from 1 to 3600; 1 for what is no number."""
    return min(3600, max(1, int(value))) if value.isdigit() and len(value) < 10 else 1


def _told(fault: UpstreamFault | BadStream) -> TryFailed:
    condition = UPSTREAM_TIMEOUT if isinstance(fault, UpstreamSlow) else UPSTREAM_FAILED
    return TryFailed(condition, str(fault), unhealthy=not isinstance(fault, UnusableAnswer))


def _by_json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise UpstreamFault("its answer is no JSON") from None


def _object(body: bytes) -> dict[str, object]:
    try:
        document = msgspec.json.decode(body)
    except (ValueError, RecursionError):  # it takes less than `json`: no NaN, no half characters, no other encodings
        document = _by_json(body)
    if not isinstance(document, dict):
        raise UpstreamFault("its answer is no JSON object")
    return document
