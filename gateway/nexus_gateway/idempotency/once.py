"""The story of a request with an `Idempotency-Key`: the first calls an engine, every other gets the first's answer.

What is kept is an answer that stays true: 200, and an engine's refusal of the body itself. An engine's 404 or 409 may
be over by the next try, and 429, 5xx, broken streams and refusals of the gateway ask for one: after those the key is
free.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nexus_gateway.errors import (
    IDEMPOTENCY_CONFLICT,
    IDEMPOTENCY_IN_PROGRESS,
    IDEMPOTENCY_UNAVAILABLE,
    INTERNAL,
    ClientGone,
    Refusal,
)
from nexus_gateway.gateway import Gateway
from nexus_gateway.idempotency.key import fingerprint_of, name_of, read_key
from nexus_gateway.idempotency.recording import Recording
from nexus_gateway.idempotency.replay import join, left, of_the_answer, replay
from nexus_gateway.idempotency.store import Claim, Conflict, Held, Kept, Unavailable
from nexus_gateway.idempotency.under_way import Begun
from nexus_gateway.relay import Broken
from nexus_gateway.request import Request
from nexus_gateway.telemetry.record import RequestRecord

Ask = Callable[[Gateway, Request], Awaitable[None]]

KEPT = (200, 400, 413, 422)
"""Status of answers by engines."""


def once(gateway: Gateway, request: Request, ask: Ask) -> Awaitable[None]:
    """`ask` calls an engine, and raises what it raises. Raises Refusal."""
    key = read_key(request.exchange.head)
    return ask(gateway, request) if key is None else _once(gateway, request, key, ask)


async def _once(gateway: Gateway, request: Request, key: bytes, ask: Ask) -> None:
    name = name_of(key, request.caller.key, request.surface.path)
    fingerprint = fingerprint_of(request.exchange.head, request.surface, request.sent)
    found = await find(gateway, request, name, fingerprint)
    if isinstance(found, Claim):
        await call(gateway, request, found, ask)
    elif isinstance(found, Begun):
        await join(gateway, request, found)
    else:
        await replay(gateway, request, found)


async def find(gateway: Gateway, request: Request, name: str, fingerprint: str) -> Claim | Begun | Kept:
    """Waits while another gateway has the claim. Raises Refusal or ClientGone."""
    under_way = gateway.under_way
    while True:
        if (begun := under_way.find(name)) is not None:
            if begun.claim.fingerprint != fingerprint:
                raise _conflict(request.record)
            return begun
        found = await under_way.store.claim(name, fingerprint)
        if isinstance(found, Claim | Kept):
            return found
        if isinstance(found, Conflict):
            raise _conflict(request.record)
        if isinstance(found, Unavailable):
            request.record.idempotency = "unavailable"
            raise Refusal(IDEMPOTENCY_UNAVAILABLE, headers=((b"retry-after", b"1"),))
        if under_way.find(name) is None:  # else it is this process's own, claimed while the store was asked
            await wait(request, found)


async def wait(request: Request, held: Held) -> None:
    """Until it is worth asking again. Raises Refusal or ClientGone."""
    if not left(request):
        request.record.idempotency = "unavailable"
        raise Refusal(IDEMPOTENCY_IN_PROGRESS, headers=((b"retry-after", b"1"),))
    request.exchange.closed.then(lambda: held.freed.fail(ClientGone()))
    await held.freed


async def call(gateway: Gateway, request: Request, claim: Claim, ask: Ask) -> None:
    """The first request. Its answer's end goes out when the answer is kept; its client's leaving ends the call only
    where nobody has joined."""
    under_way, record = gateway.under_way, request.record
    recording = Recording(
        request.exchange, request.surface.ends, under_way.largest, under_way.room, lambda: under_way.give_up(claim)
    )
    under_way.begin(Begun(claim, recording, record))
    record.idempotency = "unkept"
    try:
        request.exchange = recording
        await ask(gateway, request)
        if await keep(gateway, claim, recording, record):
            record.idempotency = "first"
    except Exception as error:
        under_way.give_up(claim)
        recording.finish(shared(error, recording))
        await recording.drained
        raise
    finally:
        under_way.give_up(claim)
    recording.finish()
    await recording.drained


async def keep(gateway: Gateway, claim: Claim, recording: Recording, record: RequestRecord) -> bool:
    if not recording.keeps or recording.status not in KEPT:
        return False
    answer = Kept(
        recording.status,
        of_the_answer(recording.headers),
        recording.answer,
        record.request_id,
        record.route,
        record.upstream,
        record.release,
        record.revision,
        record.fallback_model,
    )
    kept = await gateway.under_way.store.keep(claim, answer)
    gateway.under_way.end(claim)
    return kept


def shared(error: Exception, recording: Recording) -> Exception:
    """What those who joined are told of what the first call has failed of."""
    if isinstance(error, Refusal):
        return error
    return Broken(INTERNAL) if recording.status else Refusal(INTERNAL)


def _conflict(record: RequestRecord) -> Refusal:
    """Libraries that ask again after any 409 are told that it would not help."""
    record.idempotency = "conflict"
    return Refusal(IDEMPOTENCY_CONFLICT, headers=((b"x-should-retry", b"false"),))
