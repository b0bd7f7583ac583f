"""A request that gets an earlier one's answer: no engine is called, no tokens are charged, no place is taken.

It counts as a request, so that whoever repeats without end is limited as everybody is.
"""

from __future__ import annotations

import time

from nexus_gateway.admission import admit_again
from nexus_gateway.exchange import Headers
from nexus_gateway.gateway import Gateway
from nexus_gateway.idempotency.store import Kept
from nexus_gateway.idempotency.under_way import Begun
from nexus_gateway.request import Request
from nexus_gateway.telemetry.record import RequestRecord

_OF_THE_REQUEST = {b"x-request-id", b"x-trace-id", b"traceparent"}
_LIMITS = b"x-ratelimit-"


async def replay(gateway: Gateway, request: Request, kept: Kept) -> None:
    """Raises Refusal or ClientGone."""
    await admit_again(gateway, request)
    record = request.record
    record.idempotency = "replayed"
    record.route, record.upstream, record.release = kept.route, kept.upstream, kept.release
    record.revision, record.fallback_model, record.status = kept.revision, kept.fallback_model, kept.status
    request.exchange.start(kept.status, headers(request, kept.headers, kept.request_id))
    await request.exchange.send(kept.body, left(request))
    request.exchange.end()


async def join(gateway: Gateway, request: Request, begun: Begun) -> None:
    """From the beginning, then live. Raises what the first call has failed of, which is then this one's failure too."""
    exchange, recording = request.exchange, begun.recording
    reader = recording.join()
    exchange.closed.then(reader.leave)
    request.record.idempotency = "joined"
    try:
        await admit_again(gateway, request)
        while not recording.status:
            await reader.changed()
        _same_origin(request.record, begun.record)
        request.record.status = recording.status
        exchange.start(recording.status, headers(request, of_the_answer(recording.headers), begun.record.request_id))
        while data := await reader.more():
            await exchange.send(data, left(request))
        exchange.end()
    finally:
        reader.leave()


def of_the_answer(said: Headers) -> Headers:
    """Without the ids and the limits of the request that it answered."""
    return [(name, value) for name, value in said if name not in _OF_THE_REQUEST and not name.startswith(_LIMITS)]


def headers(request: Request, kept: Headers, original: str) -> Headers:
    return [
        *kept,
        *request.ids.headers,
        *request.record.limit_headers,
        (b"idempotency-replayed", b"true"),
        (b"idempotency-original-request-id", original.encode()),
    ]


def left(request: Request) -> float:
    """Seconds of the time that the route gives to a whole request."""
    return max(0.0, request.record.started + request.route.timeouts.total - time.monotonic())


def _same_origin(record: RequestRecord, first: RequestRecord) -> None:
    record.route, record.upstream, record.release = first.route, first.upstream, first.release
    record.revision, record.fallback_model = first.revision, first.fallback_model
