"""The story of one request: authenticate, read, decide, and once for each idempotency key: limit, and for each
candidate: breaker, send, relay. What is asked about a response that an engine keeps is asked of that engine alone.

`answer` awaits waiters only (see `exchange.py`), so that any server can drive it. One snapshot is taken at the start
and decides everything, so that an answer's headers name what made it even while the configuration changes.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from nexus_gateway import envelopes
from nexus_gateway.admission import admit, kept_free, release
from nexus_gateway.asked import Asked, read
from nexus_gateway.auth import authenticate
from nexus_gateway.candidates import Candidate, candidates, drawn, spoken
from nexus_gateway.errors import (
    API_NOT_SERVED,
    CIRCUIT_OPEN,
    DRAINING,
    INTERNAL,
    OVERLOADED,
    ClientGone,
    Refusal,
    forget_frames,
)
from nexus_gateway.exchange import Exchange, RequestHead
from nexus_gateway.gate import Full
from nexus_gateway.gateway import Gateway
from nexus_gateway.idempotency.once import once
from nexus_gateway.kept_responses.fetch import asked_about, fetch
from nexus_gateway.kept_responses.whose import go_on_from, noting, of_path
from nexus_gateway.limits.limiter import Reservation
from nexus_gateway.placing.look import answering, look_for, placed_at
from nexus_gateway.placing.remembered import recall
from nexus_gateway.policy import Caller, hold_to, route_for
from nexus_gateway.relay import Begun, Broken, TryFailed, origin, relay
from nexus_gateway.request import Request
from nexus_gateway.routes import Upstream
from nexus_gateway.routing import Route
from nexus_gateway.shadow import offer
from nexus_gateway.shedding import shed
from nexus_gateway.snapshot import Snapshot
from nexus_gateway.surfaces import KEPT, Surface
from nexus_gateway.telemetry.record import NOTHING_MASKED, RequestRecord, Try
from nexus_gateway.trace import Trace, trace
from nexus_gateway.tries import exhausted, try_of
from nexus_gateway.upstream_call import body_of, call_of, engine_of, masking_of
from nexus_gateway.upstreams.protocol import Answer

Rest = Awaitable[None]
"""Of the story, to be awaited by who has awaited its beginning. What that was told by is then in no frame any more: a
stream is open for minutes, and holds only what its end is told by (see `Request.let_go`)."""

_REFUSAL_SECONDS = 10.0  # for a client to take an error of a few hundred bytes


def answer(gateway: Gateway, exchange: Exchange, surface: Surface) -> Coroutine[Any, Any, None]:
    """The request is under way from now on: what comes back is to be driven."""
    snapshot, ids = gateway.served.current, trace(exchange.head)
    record = record_of(exchange.head, surface, ids, snapshot, time.monotonic())
    gateway.metrics.in_flight += 1
    telling = story(gateway, exchange, surface, snapshot, ids, record)
    return concluded(gateway, exchange, surface, ids, record, telling)


def record_of(head: RequestHead, surface: Surface, ids: Trace, snapshot: Snapshot, started: float) -> RequestRecord:
    record = RequestRecord(head.method, surface.path, head.client, started)
    record.request_id, record.trace_id, record.revision = ids.request_id, ids.trace_id, snapshot.revision
    record.span_id, record.parent_id, record.sampled = ids.span_id, ids.parent_id, ids.sampled
    return record


async def concluded(
    gateway: Gateway,
    exchange: Exchange,
    surface: Surface,
    ids: Trace,
    record: RequestRecord,
    telling: Coroutine[Any, Any, Rest | None],
) -> None:
    """`telling` with its rest, and whatever comes of it: the client is told of what it raises, and the request is in no
    figure twice and in none of them not at all."""
    try:
        rest = await telling
        del telling  # a coroutine that has ended keeps the memory of its frame
        if rest is not None:
            await rest
    except ClientGone as gone:
        record.status = 499
        forget_frames(gone)
    except Refusal as refusal:
        refuse(exchange, surface, refusal, ids, record)
        forget_frames(refusal)
    except Exception as error:
        fault = Broken(INTERNAL) if record.first_byte else Refusal(INTERNAL)
        refuse(exchange, surface, fault, ids, record)
        record.reason = type(error).__name__
    finally:
        gateway.metrics.in_flight -= 1
        gateway.finish(record)


async def story(
    gateway: Gateway, exchange: Exchange, surface: Surface, snapshot: Snapshot, ids: Trace, record: RequestRecord
) -> Rest:
    """From who asks to the answer's end. Raises Refusal or ClientGone."""
    head = exchange.head
    if gateway.draining:
        raise Refusal(DRAINING, headers=((b"retry-after", b"1"),))
    shed(gateway.metrics.in_flight, gateway.most_in_flight)
    key = await authenticate(head, gateway.known)
    record.key_id = key.id
    caller = snapshot.standing.caller(key)
    record.tenant = caller.tenant
    shed(gateway.metrics.in_flight, gateway.most_in_flight, caller.policy.priority)
    sent = await exchange.body()
    record.request_bytes = len(sent)
    place = await of_path(gateway, caller, head.path) if surface.path in KEPT else None
    asked = read(head, sent) if place is None else asked_about(place, head)
    record.considered = gateway.considered(snapshot, surface, asked) if place is None else None
    route = decide(snapshot, caller, asked, record)
    record.stream = asked.stream and surface.streams
    body = hold_to(caller.policy, surface, asked, sent) if place is None else b""
    holder = "" if place is None else place.endpoint
    request = Request(
        exchange, snapshot, ids, record, caller, surface, asked, sent, body, route, holder, salt=gateway.salt
    )
    return once(gateway, request, ask) if place is None else fetch(gateway, request)


def decide(snapshot: Snapshot, caller: Caller, asked: Asked, record: RequestRecord) -> Route:
    """The route of the model. Raises Refusal."""
    route = route_for(caller, asked.model, snapshot.table)
    record.route = record.model = route.name
    record.telemetry = caller.policy.telemetry or route.telemetry
    return route


async def ask(gateway: Gateway, request: Request) -> None:
    """Calls engines, within the caller's limits. Raises Refusal or ClientGone."""
    if request.asked.previous_response_id is not None:
        await go_on_from(gateway, request)
    reservation = await admit(gateway, request)
    try:
        await serve(gateway, request)
    finally:
        release(gateway, request, reservation)


async def serve(gateway: Gateway, request: Request) -> None:
    """Asks one engine after the other until one has begun to answer. Raises Refusal with a reason for each."""
    offer(gateway, request)
    if gateway.placements.remembers:
        request.recalled = await recall(gateway, request)
    failures: list[tuple[Candidate, TryFailed]] = []
    considered = request.record.considered
    for candidate in to_ask(gateway, request):
        again = bool(failures)
        if again and not gateway.retries.take(gateway.metrics.in_flight):
            if considered is not None:
                considered.out_of_retries = True
            break
        if again:
            request.record.retries += (failures[-1][1].condition.code,)
        try:
            return await (await attempt(gateway, request, candidate))
        except TryFailed as failure:
            failures.append((candidate, failure.with_traceback(None)))  # it holds this frame, which holds `failures`
            if considered is not None:
                considered.failures.append(failure.condition.code)
        finally:
            if again:
                gateway.retries.give()
    request.record.fallback_model = ""  # nobody has answered in its stead
    if not failures and not spoken(request.snapshot.table, request.wanted):
        raise Refusal(API_NOT_SERVED, f"no engine of {request.asked.model} speaks {request.surface.path}")
    raise exhausted(failures, gateway.retry_after(request))


def to_ask(gateway: Gateway, request: Request) -> Iterable[Candidate]:
    """In their order; each is chosen when it is asked for. Where there is one engine nothing is to be chosen, and most
    routes are such: to find that out anew costs as much as all else until the call."""
    only = request.snapshot.standing.only(request.route, request.surface)
    considered = request.record.considered
    if only is not None and considered is None and not request.holder:
        return (only,) if gateway.breakers.would_admit(only.endpoint.id, time.monotonic()) else ()
    table, wanted = request.snapshot.table, request.wanted
    request.record.drawn = drawn(table, wanted)
    found = candidates if considered is None else considered.candidates
    return found(table, wanted, look_for(gateway, request))


async def attempt(gateway: Gateway, request: Request, candidate: Candidate) -> Rest:
    """One engine. Raises TryFailed, Broken or ClientGone."""
    record, endpoint = request.record, candidate.endpoint.id
    record.route, record.upstream, record.release = (
        candidate.route.name,
        candidate.upstream.name,
        candidate.upstream.release,
    )
    record.fallback_model = "" if candidate.route is request.route else candidate.route.name
    called = try_of(candidate)
    masking = masking_of(request, candidate)
    record.masked = masking.counts if masking is not None else NOTHING_MASKED
    body = request.body if masking is None else await body_of(request, masking)
    told = call_of(request, candidate, called.span_id, body)
    if candidate.upstream.max_parallel is not None:
        await enter(gateway, request, candidate.upstream)
    called.started = time.monotonic()
    gateway.endpoints.begun(endpoint)

    def begun() -> Answer:
        # The last thing before the call is sent: a half-open circuit's only probe is then taken.
        if not gateway.breakers.admits(endpoint, called.started):
            raise TryFailed(CIRCUIT_OPEN, CIRCUIT_OPEN.meaning, unhealthy=False)
        record.tries.append(called)
        return engine_of(gateway.upstream(request.snapshot, candidate.endpoint), request, candidate, masking).send(told)

    return hear(gateway, request, candidate, called, begun)


async def hear(
    gateway: Gateway,
    request: Request,
    candidate: Candidate,
    called: Try,
    begun: Callable[[], Answer],
    stream: Begun | None = None,
) -> None:
    """One call, that `begun` sends, to its end. Its breaker is told. Raises TryFailed, Broken or ClientGone. `stream`:
    see `relay`."""
    exchange, record, endpoint = request.exchange, request.record, candidate.endpoint.id
    if (placed := placed_at(record, endpoint)) is not None:
        gateway.placements.begun(placed)
    try:
        call = begun()
        del begun  # it has the body that was sent
        exchange.closed.then(lambda: call.abort(ClientGone()))
        first = answering(gateway, request, candidate, placed, noting(gateway, request, candidate))
        await relay(request, call, candidate.route.timeouts, called, first, stream)
        gateway.breakers.succeeded(endpoint)
    except TryFailed as failure:
        judge(gateway, endpoint, failure, called)
        raise
    except Broken as broken:
        called.failure = broken.condition.code
        called.opened_circuit = gateway.breakers.failed(endpoint, time.monotonic())
        raise
    except BaseException:
        gateway.breakers.undecided(endpoint)
        raise
    finally:
        called.ended = time.monotonic()
        gateway.endpoints.ended(endpoint)
        if placed is not None:
            gateway.placements.ended(placed, record.prompt_tokens, record.cached_tokens)
        gateway.leave(candidate.upstream)


def go_on(
    gateway: Gateway,
    request: Request,
    candidate: Candidate,
    called: Try,
    call: Answer,
    held: Reservation | None,
    stream: Begun | None = None,
) -> Coroutine[Any, Any, None]:
    """From where a request has left the straight way (`straight/`): its one engine has been called, and `held` is kept
    free of its caller's limits. `stream`: its answer, where that has begun."""
    telling = _heard_out(gateway, request, candidate, called, call, held, stream)
    return concluded(gateway, request.exchange, request.surface, request.ids, request.record, telling)


async def _heard_out(
    gateway: Gateway,
    request: Request,
    candidate: Candidate,
    called: Try,
    call: Answer,
    held: Reservation | None,
    stream: Begun | None,
) -> None:
    try:
        return await hear(gateway, request, candidate, called, lambda: call, stream)
    except TryFailed as failure:
        failed = failure.with_traceback(None)  # it holds this frame, which holds `failed`
    finally:
        release(gateway, request, held)
    raise exhausted([(candidate, failed)], gateway.retry_after(request))


async def enter(gateway: Gateway, request: Request, upstream: Upstream) -> None:
    """Waits for room at the upstream, as long as its settings say. Raises TryFailed or ClientGone."""
    caller = request.caller
    place = gateway.enter(upstream, caller.policy.priority, caller.key.owner, kept_free(request))
    if not place.settled:
        request.exchange.closed.then(lambda: place.fail(ClientGone()))
    try:
        await place
    except Full:
        raise TryFailed(OVERLOADED, OVERLOADED.meaning, unhealthy=False, retry_after=1) from None


def judge(gateway: Gateway, endpoint: str, failure: TryFailed, called: Try) -> None:
    now, called.failure = time.monotonic(), failure.condition.code
    if failure.unhealthy:
        called.opened_circuit = gateway.breakers.failed(endpoint, now)
    elif failure.condition is not CIRCUIT_OPEN:  # then the probe is another request's
        gateway.breakers.undecided(endpoint)
    if failure.retry_after:
        gateway.endpoints.rests(endpoint, failure.retry_after, now)


def refuse(exchange: Exchange, surface: Surface, refusal: Refusal, ids: Trace, record: RequestRecord) -> None:
    """Tells the client; where the answer has begun, by the stream's terminal error event."""
    record.code, record.reason = refusal.condition.code, str(refusal)
    if isinstance(refusal, Broken):
        exchange.send(envelopes.event(refusal, surface, ids.request_id), _REFUSAL_SECONDS)
        exchange.end()
        return
    body = envelopes.body(refusal, surface, ids.request_id)
    record.status = refusal.condition.status
    length = (b"content-length", b"%d" % len(body))
    exchange.start(
        record.status, [(b"content-type", b"application/json"), length, *refusal.headers, *origin(ids, record)]
    )
    exchange.send(body, _REFUSAL_SECONDS)
    exchange.end()
