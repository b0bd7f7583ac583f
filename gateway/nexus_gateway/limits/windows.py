"""The sliding window, by values and times only.

Two fixed windows approximate one that slides: what is counted is the present window, and of the one before as much as
of it still lies within the last minute, as if it had come evenly (Cloudflare, "How we built rate limiting capable of
scaling to millions of domains", 2017). Both memory and Redis count so; `decide.lua` is the same in Lua.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

WINDOW_SECONDS = 60.0

Reason = Literal["", "requests", "tokens", "parallel", "unavailable"]


@dataclass(frozen=True, slots=True)
class Limits:
    """None is no limit."""

    requests: int | None = None
    """In a window."""
    tokens: int | None = None
    """In a window."""
    parallel: int | None = None
    """At once, in this process."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What one bucket has used, in the present window and in the one before."""

    now: float
    before: float


@dataclass(frozen=True, slots=True)
class Quota:
    limit: int
    remaining: int
    reset: int
    """Whole seconds until all of it is free again."""


@dataclass(frozen=True, slots=True)
class Verdict:
    admitted: bool
    reason: Reason = ""
    retry_after: int = 0
    """Whole seconds after which the same request would be admitted, if nobody else asked; 0 where it is admitted."""
    requests: Quota | None = None
    tokens: Quota | None = None


def used(counted: Counted, elapsed: float, window: float) -> float:
    """`elapsed`: seconds of the present window."""
    return counted.now + counted.before * (1 - elapsed / window)


def fits(counted: Counted, amount: float, limit: int | None, elapsed: float, window: float) -> bool:
    return limit is None or used(counted, elapsed, window) + amount <= limit


def wait(counted: Counted, amount: float, limit: int, elapsed: float, window: float) -> float:
    """Seconds until `amount` fits, if nothing else comes. An amount above the limit never fits; then it is a window."""
    if amount > limit:
        return window
    room = limit - amount
    if counted.now <= room:  # within this window, while the one before slides out
        left = 1 - (room - counted.now) / counted.before if counted.before else 0.0
        return max(0.0, left * window - elapsed)
    left = 1 - room / counted.now  # in the next window, while this one slides out
    return window - elapsed + left * window


def quota(counted: Counted, limit: int, elapsed: float, window: float) -> Quota:
    remaining = max(0, math.floor(limit - used(counted, elapsed, window)))
    busy = 2 * window - elapsed if counted.now else window - elapsed if counted.before else 0.0
    return Quota(limit, remaining, math.ceil(busy))


def judged(requests: Counted, tokens: Counted, limits: Limits, amount: float, elapsed: float, window: float) -> Verdict:
    """The verdict on one request of `amount` tokens, by what was counted before it. The quotas of one that is admitted
    are those that are left after it."""
    reason: Reason = ""
    if not fits(requests, 1, limits.requests, elapsed, window):
        reason = "requests"
    elif not fits(tokens, amount, limits.tokens, elapsed, window):
        reason = "tokens"
    if not reason:
        requests, tokens = Counted(requests.now + 1, requests.before), Counted(tokens.now + amount, tokens.before)
    left = {
        "requests": limits.requests and quota(requests, limits.requests, elapsed, window),
        "tokens": limits.tokens and quota(tokens, limits.tokens, elapsed, window),
    }
    if not reason:
        return Verdict(True, requests=left["requests"] or None, tokens=left["tokens"] or None)
    counted, one, limit = (requests, 1.0, limits.requests) if reason == "requests" else (tokens, amount, limits.tokens)
    seconds = wait(counted, one, limit or 0, elapsed, window)
    return Verdict(False, reason, max(1, math.ceil(seconds)), left["requests"] or None, left["tokens"] or None)
