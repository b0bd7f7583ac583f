"""Holds a request against its caller's limits, and gives back afterwards what it did not use."""

from __future__ import annotations

from nexus_gateway.errors import LIMITER_UNAVAILABLE, RATE_LIMITED, Refusal
from nexus_gateway.exchange import Headers
from nexus_gateway.gateway import Gateway
from nexus_gateway.limits.estimate import BYTES_A_TOKEN, estimate, hold_to_whole
from nexus_gateway.limits.limiter import Reservation
from nexus_gateway.limits.windows import Limits, Quota, Verdict
from nexus_gateway.request import Request
from nexus_gateway.routes_file import PolicyFile
from nexus_gateway.telemetry.record import RequestRecord

_REQUESTS = (b"x-ratelimit-limit-requests", b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests")
_TOKENS = (b"x-ratelimit-limit-tokens", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens")


async def admit(gateway: Gateway, request: Request) -> Reservation | None:
    """None where the caller has no limit. Raises Refusal; what is admitted goes through `release` once."""
    caller, record = request.caller, request.record
    limits = caller.limits
    tokens = kept_free(request)
    hold_to_whole(tokens, limits)
    if not gateway.parallel.enter(caller.key.owner, limits.parallel):
        record.limited = "parallel"
        raise Refusal(RATE_LIMITED, "max_parallel of this key is under way", ((b"retry-after", b"1"),))
    try:
        if limits.requests is None and limits.tokens is None:
            return None
        return _admitted(request, await gateway.limiter.reserve(caller.key.owner, limits, tokens))
    except BaseException:
        gateway.parallel.leave(caller.key.owner)
        raise


async def admit_again(gateway: Gateway, request: Request) -> None:
    """Of a request that gets another's answer: it counts as a request, and takes no tokens and no place. Raises
    Refusal."""
    limits = Limits(requests=request.caller.limits.requests)
    if limits.requests is not None:
        _admitted(request, await gateway.limiter.reserve(request.caller.key.owner, limits, 0))


def _admitted(request: Request, decided: tuple[Verdict, Reservation | None]) -> Reservation:
    """Raises Refusal."""
    verdict, reservation = decided
    request.record.limit_headers = headers_of(verdict)
    if reservation is None:
        raise _refusal(verdict, request.record)
    return reservation


def release(gateway: Gateway, request: Request, reservation: Reservation | None) -> None:
    """What no engine has answered costs nothing. What an engine has refused, or whose client has left, was a request
    and cost no tokens; an answer without the engine's count costs what went out."""
    gateway.parallel.leave(request.caller.key.owner)
    if reservation is None:
        return
    record = request.record
    if record.prompt_tokens + record.completion_tokens:
        gateway.limiter.settle(reservation, counted(request.caller.policy, record))
    elif record.first_byte and record.stream:
        gateway.limiter.settle(reservation, request.size // BYTES_A_TOKEN + record.events)
    elif record.first_byte and record.status == 200:
        gateway.limiter.settle(reservation, reservation.tokens)
    elif record.first_byte or request.exchange.closed.settled:
        gateway.limiter.settle(reservation, 0)
    else:
        gateway.limiter.refund(reservation)


def counted(policy: PolicyFile, record: RequestRecord) -> int:
    """Tokens that an answer takes of its caller's limit, by the engine's account: cached ones are prompt tokens too."""
    saved = record.cached_tokens * (100.0 - policy.cached_tokens_percent) / 100.0
    return record.prompt_tokens + record.completion_tokens - int(saved)


def kept_free(request: Request) -> int:
    """Tokens, until it is known how many it took."""
    return estimate(request.asked, request.surface, request.caller.policy, request.size)


def headers_of(verdict: Verdict) -> Headers:
    return [*_quota(_REQUESTS, verdict.requests), *_quota(_TOKENS, verdict.tokens)]


def _quota(names: tuple[bytes, bytes, bytes], quota: Quota | None) -> Headers:
    if quota is None:
        return []
    limit, remaining, reset = names
    return [(limit, b"%d" % quota.limit), (remaining, b"%d" % quota.remaining), (reset, b"%d" % quota.reset)]


def _refusal(verdict: Verdict, record: RequestRecord) -> Refusal:
    after = ((b"retry-after", b"%d" % verdict.retry_after),)
    if verdict.reason == "unavailable":
        return Refusal(LIMITER_UNAVAILABLE, headers=after)
    record.limited = verdict.reason
    return Refusal(RATE_LIMITED, f"the {verdict.reason} per minute of this key are used up", after)
