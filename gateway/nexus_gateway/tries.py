"""Engines that were asked for one request: what is kept of each, and what the client is told when none has answered."""

from __future__ import annotations

import time

from nexus_gateway.candidates import Candidate
from nexus_gateway.errors import CIRCUIT_OPEN, OVERLOADED, UPSTREAM_FAILED, UPSTREAM_RATE_LIMITED, Refusal
from nexus_gateway.relay import TryFailed
from nexus_gateway.telemetry.record import Try
from nexus_gateway.trace import new_span_id


def try_of(candidate: Candidate, span_id: str = "", started: float = 0.0) -> Try:
    """`span_id` and `started` of a call that has been sent; else it is about to be."""
    return Try(
        candidate.upstream.name,
        started or time.monotonic(),
        span_id=span_id or new_span_id(),
        url=candidate.endpoint.url,
        model=candidate.upstream.model or candidate.route.name,
        route=candidate.route.name,
        release=candidate.upstream.release,
    )


def exhausted(failures: list[tuple[Candidate, TryFailed]], circuit_seconds: int) -> Refusal:
    """What the client is told when no engine has answered: the one reason, or one for each."""
    if not failures:
        return Refusal(CIRCUIT_OPEN, headers=((b"retry-after", b"%d" % circuit_seconds),))
    conditions = {failure.condition for _, failure in failures}
    condition = conditions.pop() if len(conditions) == 1 else UPSTREAM_FAILED
    seconds = [failure.retry_after for _, failure in failures if failure.retry_after]
    if condition is CIRCUIT_OPEN:
        seconds = [circuit_seconds]
    headers = ((b"retry-after", b"%d" % min(seconds)),) if seconds and condition is not UPSTREAM_FAILED else ()
    if len(failures) > 1:
        return Refusal(
            condition, "; ".join(f"{tried.route.name}: {failure.reason}" for tried, failure in failures), headers
        )
    told = (
        ""
        if condition in (UPSTREAM_RATE_LIMITED, OVERLOADED, CIRCUIT_OPEN)
        else f"the engine failed: {failures[0][1].reason}"
    )
    return Refusal(condition, told, headers)
