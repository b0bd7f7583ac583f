"""A request about a response that an engine keeps: the one engine that has it is asked.

It counts as a request and costs no tokens: those of the answer were counted when it was made. It takes no place among
the calls of the engine, and says nothing of the engine's health: an engine that cannot generate any more may well look
into its memory.
"""

from __future__ import annotations

import time
from urllib.parse import parse_qsl

from nexus_gateway.admission import admit_again
from nexus_gateway.asked import Asked
from nexus_gateway.candidates import holder
from nexus_gateway.errors import RESPONSE_NOT_FOUND, ClientGone, Refusal
from nexus_gateway.exchange import RequestHead
from nexus_gateway.gateway import Gateway
from nexus_gateway.kept_responses.place import Place
from nexus_gateway.kept_responses.whose import deleted, noting
from nexus_gateway.relay import Broken, TryFailed, relay
from nexus_gateway.request import Request
from nexus_gateway.telemetry.record import NOTHING_MASKED
from nexus_gateway.tries import exhausted, try_of
from nexus_gateway.upstream_call import engine_of, kept_call_of, masking_of

_TRUE = frozenset(("true", "1", "yes", "on", "y", "t"))
"""As engines on pydantic read a query."""


def asked_about(place: Place, head: RequestHead) -> Asked:
    """What the gateway reads of such a request. What is deleted or cancelled is told of in one piece."""
    said = dict(parse_qsl(head.query.decode("latin-1")))
    return Asked(place.model, stream=head.method == "GET" and said.get("stream", "").lower() in _TRUE)


async def fetch(gateway: Gateway, request: Request) -> None:
    """Raises Refusal, Broken or ClientGone."""
    exchange, record = request.exchange, request.record
    candidate = holder(request.snapshot.table, request.wanted)
    if candidate is None:
        raise Refusal(RESPONSE_NOT_FOUND, "the engine that kept it is no longer asked for this model")
    await admit_again(gateway, request)
    record.route, record.upstream, record.release = (
        candidate.route.name,
        candidate.upstream.name,
        candidate.upstream.release,
    )
    called = try_of(candidate)
    record.tries.append(called)
    engine = gateway.upstream(request.snapshot, candidate.endpoint)
    masking = masking_of(request, candidate)
    record.masked = masking.counts if masking is not None else NOTHING_MASKED
    call = engine_of(engine, request, candidate, masking).send(kept_call_of(request, candidate, called.span_id))
    exchange.closed.then(lambda: call.abort(ClientGone()))
    try:
        await relay(request, call, candidate.route.timeouts, called, noting(gateway, request, candidate))
    except TryFailed as failure:
        called.failure = failure.condition.code
        raise exhausted([(candidate, failure)], failure.retry_after) from None
    except Broken as broken:
        called.failure = broken.condition.code
        raise
    finally:
        called.ended = time.monotonic()
        record.prompt_tokens = record.completion_tokens = record.cached_tokens = 0
    if exchange.head.method == "DELETE" and record.status == 200:
        await deleted(gateway, exchange.head.path)
