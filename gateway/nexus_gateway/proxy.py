"""The story of one request: authenticate, read, decide, breaker, send, relay.

`answer` awaits waiters only (see `exchange.py`), so that any server can drive it. One snapshot is taken at the start
and decides everything, so that an answer's headers name what made it even while the configuration changes.
"""

from __future__ import annotations

import json
import time

from nexus_gateway.asked import Asked, read
from nexus_gateway.auth import authenticate
from nexus_gateway.breaker import is_failure
from nexus_gateway.errors import (
    CIRCUIT_OPEN,
    DRAINING,
    INTERNAL,
    MODEL_NOT_ALLOWED,
    MODEL_NOT_FOUND,
    STREAM_BROKEN,
    UPSTREAM_FAILED,
    UPSTREAM_RATE_LIMITED,
    UPSTREAM_TIMEOUT,
    ClientGone,
    Condition,
    Refusal,
)
from nexus_gateway.exchange import Exchange, Headers
from nexus_gateway.gateway import Gateway
from nexus_gateway.keys import Key
from nexus_gateway.routing import Route, Timeouts, pick
from nexus_gateway.snapshot import Snapshot
from nexus_gateway.stream import LARGEST_EVENT, BadStream, EventReader, usage_of
from nexus_gateway.telemetry.record import RequestRecord
from nexus_gateway.trace import Trace, trace
from nexus_gateway.upstreams.protocol import Answer, Call, ResponseHead, UpstreamFault, UpstreamSlow

LARGEST_ANSWER = 16 << 20
"""Bytes of an answer that is not streamed."""
LARGEST_COMPLAINT = 64 << 10
"""Bytes of an engine's 4xx answer."""
_REFUSAL_SECONDS = 10.0  # for a client to take an error of a few hundred bytes
_AFTER_DONE_SECONDS = 1.0  # for the end of a stream's bytes, once its `[DONE]` has come


async def answer(gateway: Gateway, exchange: Exchange) -> None:
    head, snapshot = exchange.head, gateway.served.current
    ids = trace(head)
    record = RequestRecord(head.method, head.path, head.client, time.monotonic())
    record.request_id, record.trace_id, record.revision = ids.request_id, ids.trace_id, snapshot.revision
    gateway.metrics.in_flight += 1
    try:
        if gateway.draining:
            raise Refusal(DRAINING, headers=((b"retry-after", b"1"),))
        caller = authenticate(head, gateway.keys)
        record.key_id = caller.id
        body = await exchange.body()
        asked = read(head, body)
        route = decide(snapshot, caller, asked, record)
        choose_upstream(snapshot, route, sticky_key(caller, asked, exchange, ids), record)
        call = gateway.upstream(snapshot, record.upstream).send(Call(head.path, upstream_headers(ids), body))
        admit(gateway, record.upstream)
        await relay(gateway, exchange, call, route, ids, record)
    except ClientGone:
        record.status = 499
    except Refusal as refusal:
        refuse(exchange, refusal, ids, record)
    except Exception as error:
        fault = _Broken(INTERNAL) if record.first_byte else Refusal(INTERNAL)
        refuse(exchange, fault, ids, record)
        record.reason = type(error).__name__
    finally:
        gateway.metrics.in_flight -= 1
        gateway.finish(record)


def decide(snapshot: Snapshot, caller: Key, asked: Asked, record: RequestRecord) -> Route:
    """The route of the model. What a key may not use is told apart from what there is not only by those who may."""
    if caller.models is not None and asked.model not in caller.models:
        raise Refusal(MODEL_NOT_ALLOWED, "this key's policy does not name that model")
    route = snapshot.table.routes.get(asked.model)
    if route is None:
        raise Refusal(MODEL_NOT_FOUND, "no route has that model's name; /v1/models lists those that this key may use")
    record.route, record.stream = route.name, asked.stream
    return route


def sticky_key(caller: Key, asked: Asked, exchange: Exchange, ids: Trace) -> str:
    """What keeps a conversation with one release: the client's session or user, within its own key; else an id that
    we have made, never one that the client could choose its release by."""
    session = exchange.head.first(b"x-nexus-session").decode("latin-1") or asked.user
    return f"{caller.id}\0{session}" if session else ids.span_id


def choose_upstream(snapshot: Snapshot, route: Route, key: str, record: RequestRecord) -> None:
    name = pick(route, key)
    if name is None:  # shares add up to the whole line
        raise Refusal(INTERNAL)
    record.upstream, record.release = name, snapshot.table.upstreams[name].release


def admit(gateway: Gateway, name: str) -> None:
    """The last thing before the call is sent: a half-open circuit's only probe is then taken, and `relay` gives it
    back however it ends."""
    now = time.monotonic()
    if not gateway.breakers.admits(name, now):
        seconds = gateway.breakers.retry_after(name, now)
        raise Refusal(CIRCUIT_OPEN, headers=((b"retry-after", b"%d" % seconds),))


async def relay(
    gateway: Gateway, exchange: Exchange, call: Answer, route: Route, ids: Trace, record: RequestRecord
) -> None:
    """Sends the answer on, and tells the breaker how the engine did. When the client goes, the engine is cut off."""
    exchange.closed.then(lambda: call.abort(ClientGone()))
    record.upstream_started = time.monotonic()
    try:
        heard = await call.head(min(route.timeouts.first_byte, route.timeouts.total))
        record.upstream_status = str(heard.status)
        if heard.status == 200 and record.stream:
            await relay_stream(exchange, call, route.timeouts, ids, record)
        else:
            await relay_whole(exchange, call, heard, route.timeouts, ids, record)
    except ClientGone:
        record.upstream_status = record.upstream_status or "cancelled"
        gateway.breakers.undecided(record.upstream)
        call.abort(ClientGone())
        raise
    except (UpstreamFault, BadStream) as fault:
        record.upstream_status = record.upstream_status if record.upstream_status >= "4" else "error"
        call.abort(fault)
        record.opened_circuit = gateway.breakers.failed(record.upstream, time.monotonic())
        raise _told(fault) from None
    except _Broken as broken:
        call.abort(broken)
        record.opened_circuit = gateway.breakers.failed(record.upstream, time.monotonic())
        raise
    except BaseException as error:
        gateway.breakers.undecided(record.upstream)
        call.abort(error)
        raise
    gateway.breakers.succeeded(record.upstream)


async def relay_stream(exchange: Exchange, call: Answer, timeouts: Timeouts, ids: Trace, record: RequestRecord) -> None:
    """Holds the head back until the first event is whole and sound; from then on bytes go through as they come, and
    a failure becomes one terminal error event, never `[DONE]`."""
    deadline = record.started + timeouts.total
    begin_by = min(record.upstream_started + timeouts.first_byte, deadline)  # comments are no beginning
    reader, held = EventReader(), b""
    while not reader.events:
        data = await call.chunk(left(begin_by))
        if not data:
            raise UpstreamFault("its stream ended before it began")
        held += data[: reader.feed(data)]
        if len(held) > LARGEST_EVENT:
            raise BadStream("its stream does not begin")
    record.status = 200
    record.first_byte = time.monotonic()
    exchange.start(
        200, [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"), *_origin(ids, record)]
    )
    try:
        await exchange.send(held, left(deadline))
        while data := await call.chunk(_AFTER_DONE_SECONDS if reader.done else min(timeouts.chunk, left(deadline))):
            if reader.done:
                raise BadStream("it goes on after its end mark")
            if keep := reader.feed(data):
                await exchange.send(data[:keep], left(deadline))
        if not reader.done:
            raise UpstreamFault("its stream ended before its end mark")
    except (UpstreamFault, BadStream) as fault:
        if not reader.done:
            raise _Broken(STREAM_BROKEN, str(fault)) from None
        call.abort(fault)  # the answer is whole; only the connection is of no more use
    finally:
        record.prompt_tokens, record.completion_tokens = reader.usage or (0, 0)
    exchange.end()


async def relay_whole(
    exchange: Exchange, call: Answer, heard: ResponseHead, timeouts: Timeouts, ids: Trace, record: RequestRecord
) -> None:
    """An answer in one piece: read to its end, looked at, sent on."""
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
    if heard.status == 200:
        record.prompt_tokens, record.completion_tokens = usage_of(document) or (0, 0)
    record.status, record.first_byte = heard.status, time.monotonic()
    exchange.start(
        heard.status,
        [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *_origin(ids, record)],
    )
    await exchange.send(body, left(deadline))
    exchange.end()


def left(deadline: float) -> float:
    """Seconds until `deadline`. Raises UpstreamSlow when it has passed: bytes that never stop coming are no reason
    to go on."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise UpstreamSlow("its answer took longer than the whole request may")
    return seconds


def judge(heard: ResponseHead) -> None:
    """What of an engine's refusals is the client's business. Raises Refusal or UpstreamFault for what is not."""
    status = heard.status
    if status == 429:
        raise Refusal(UPSTREAM_RATE_LIMITED, headers=((b"retry-after", _clamped(heard.first(b"retry-after"))),))
    if status in (401, 403, 407):
        raise UpstreamFault("it refused this gateway's credential")
    if status in (200, 400, 404, 409, 413, 422):
        return
    if is_failure(status):
        raise UpstreamFault(f"it answered {status}")
    raise UpstreamFault(f"it answered {status}, which no client can use")


def upstream_headers(ids: Trace) -> Headers:
    """What the engine is told. Nothing of the client's own: its credential and cookies stay here."""
    return [
        (b"content-type", b"application/json"),
        (b"accept", b"application/json, text/event-stream"),
        (b"accept-encoding", b"identity"),
        *ids.headers,
    ]


def refuse(exchange: Exchange, refusal: Refusal, ids: Trace, record: RequestRecord) -> None:
    """Tells the client; where the answer has begun, by the stream's terminal error event."""
    record.code, record.reason = refusal.condition.code, str(refusal)
    if isinstance(refusal, _Broken):
        exchange.send(refusal.event(), _REFUSAL_SECONDS)
        exchange.end()
        return
    body = refusal.body()
    record.status = refusal.condition.status
    length = (b"content-length", b"%d" % len(body))
    exchange.start(
        record.status, [(b"content-type", b"application/json"), length, *refusal.headers, *_origin(ids, record)]
    )
    exchange.send(body, _REFUSAL_SECONDS)
    exchange.end()


class _Broken(Refusal):
    """A refusal after the first byte."""


def _told(fault: UpstreamFault | BadStream) -> Refusal:
    condition: Condition = UPSTREAM_TIMEOUT if isinstance(fault, UpstreamSlow) else UPSTREAM_FAILED
    return Refusal(condition, f"the engine failed: {fault}")


def _origin(ids: Trace, record: RequestRecord) -> Headers:
    """Where the answer comes from."""
    return [
        *ids.headers,
        (b"x-nexus-revision", record.revision.encode()),
        *([(b"x-nexus-route", record.route.encode())] if record.route else []),
        *([(b"x-nexus-release", record.release.encode())] if record.release else []),
    ]


def _object(body: bytes) -> dict[str, object]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise UpstreamFault("its answer is no JSON") from None
    if not isinstance(document, dict):
        raise UpstreamFault("its answer is no JSON object")
    return document


def _clamped(value: bytes) -> bytes:
    """Whole seconds from 1 to 3600; 1 for what is no number."""
    return b"%d" % (min(3600, max(1, int(value))) if value.isdigit() and len(value) < 10 else 1)
