"""A copy of a share of the requests to an engine that is tried out.

Open in every way: a copy that fails, or is not made, changes nothing for the client. It is begun after the original has
been sent, never asked again, counts for no breaker and no limit, and is the first thing to be dropped under load.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from dataclasses import replace

from nexus_gateway.candidates import Candidate, endpoint_of, speaks
from nexus_gateway.errors import ClientGone
from nexus_gateway.exchange import drive
from nexus_gateway.gateway import Gateway
from nexus_gateway.relay import LARGEST_ANSWER, left
from nexus_gateway.request import Request
from nexus_gateway.routes import Upstream
from nexus_gateway.routing import BUCKETS, Shadow, Timeouts
from nexus_gateway.shadow_pairs import MOST_BYTES, Copy
from nexus_gateway.stream import BadStream, EventReader, Usage, usage_of
from nexus_gateway.upstream_call import body_of, call_of, engine_of, masking_of
from nexus_gateway.upstreams.protocol import Answer, UpstreamFault

SHADOWED = b"x-nexus-shadow: 1\r\n"
"""Tells the engine that nobody waits for its answer."""
_KEPT = 1 << 20  # bytes of a whole answer that are kept for its usage


def offer(gateway: Gateway, request: Request) -> None:
    """Copies the request if its route says so and there is room. Never waits and never raises."""
    rule = request.route.shadow
    if rule is None or request.holder or not chosen(rule, request):  # no other engine could go on from there
        return
    upstream = request.snapshot.table.upstreams[rule.upstream]
    endpoint = endpoint_of(upstream, gateway.look(upstream, ()))
    reason = "no_endpoint" if endpoint is None else obstacle(gateway, request, rule, upstream)
    if reason or endpoint is None:
        gateway.metrics.shadows_dropped.add((request.route.name, reason))
        return
    copy = gateway.shadows.begin(request, upstream)
    candidate = Candidate(request.route, upstream, endpoint)
    asyncio.get_running_loop().call_soon(_begin, gateway, request, candidate, copy)


def chosen(rule: Shadow, request: Request) -> bool:
    """By an id that we have made, so that no client can choose to be copied."""
    if rule.match is not None and request.exchange.head.first(rule.match.header) != rule.match.value:
        return False
    drawn = hashlib.sha256(b"shadow\0" + request.ids.span_id.encode()).digest()
    return int.from_bytes(drawn[:8], "big") % BUCKETS < rule.share


def obstacle(gateway: Gateway, request: Request, rule: Shadow, upstream: Upstream) -> str:
    """Why there is no copy; empty where there may be one."""
    shadows = gateway.shadows
    if gateway.draining or gateway.metrics.in_flight > gateway.most_in_flight / 2:
        return "load"
    if shadows.under_way[request.route.name] >= rule.max_parallel or shadows.bytes + len(request.body) > MOST_BYTES:
        return "full"
    if not gateway.free(upstream):
        return "busy"
    return "" if speaks(upstream, request.surface) else "api_not_served"


def _begin(gateway: Gateway, request: Request, candidate: Candidate, copy: Copy) -> None:
    endpoint, pair = candidate.endpoint.id, request.record.shadow

    def ended(error: BaseException | None) -> None:
        if error is not None:
            copy.status = "error"
        gateway.endpoints.ended(endpoint)
        gateway.shadows.end(copy)
        gateway.metrics.shadows.add((copy.route, copy.upstream.name, copy.status))
        if pair is not None:
            pair.told()

    gateway.endpoints.begun(endpoint)
    drive(_ask(gateway, request, candidate, copy), ended)


async def _ask(gateway: Gateway, request: Request, candidate: Candidate, copy: Copy) -> None:
    """Raises whatever goes wrong; the call has then been given up."""
    rule = request.route.shadow
    masking = masking_of(request, candidate, rule.masking if rule else None)
    body = await body_of(request, masking)
    call = call_of(request, candidate, request.ids.span_id, body)  # a copy has no span of its own
    engine = engine_of(gateway.upstream(request.snapshot, candidate.endpoint), request, candidate, None)
    answer = engine.send(replace(call, lines=call.lines + SHADOWED))
    try:
        await _listen(answer, request, candidate.route.timeouts, copy)
    finally:
        answer.abort(ClientGone())


async def _listen(answer: Answer, request: Request, timeouts: Timeouts, copy: Copy) -> None:
    deadline = copy.started + timeouts.total
    heard = await answer.head(timeouts.first_byte)
    reader = EventReader(request.surface.ends) if heard.status == 200 and request.record.stream else None
    kept: list[bytes] = []
    while data := await answer.chunk(min(timeouts.chunk, left(deadline))):
        copy.first_byte = copy.first_byte or time.monotonic()
        copy.bytes += len(data)
        if reader is not None:
            reader.feed(data)
            if reader.done:
                break
        elif copy.bytes <= _KEPT:
            kept.append(data)
        elif copy.bytes > LARGEST_ANSWER:
            raise UpstreamFault("its answer is too large")
    if reader is not None and not reader.done:
        raise BadStream("its stream ended before its end mark")
    usage = reader.usage if reader is not None else _usage(b"".join(kept))
    copy.prompt_tokens, copy.completion_tokens, _ = usage or Usage()
    copy.status = str(heard.status)


def _usage(body: bytes) -> Usage | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return usage_of(document) if isinstance(document, dict) else None
