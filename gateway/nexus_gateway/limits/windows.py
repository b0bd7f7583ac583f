"""The sliding window, by values and times only.

Two fixed windows approximate one that slides: what is counted is the present window, and of the one before as much as
of it still lies within the last minute, as if it had come evenly (Cloudflare, "How we built rate limiting capable of
scaling to millions of domains", 2017). Both memory and Redis count so; `decide.lua` is the same in Lua.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

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


NO_LIMITS = Limits()


class Counted(NamedTuple):
    """What one bucket has used, in the present window and in the one before."""

    now: float
    before: float


class Quota(NamedTuple):
    limit: int
    remaining: int
    reset: int
    """Whole seconds until all of it is free again."""


class Verdict(NamedTuple):
    admitted: bool
    reason: Reason = ""
    retry_after: int = 0
    """Whole seconds after which the same request would be admitted, if nobody else asked; 0 where it is admitted."""
    requests: Quota | None = None
    tokens: Quota | None = None


def wait(counted: Counted, amount: float, limit: int, elapsed: float, window: float) -> float:
    """Seconds until `amount` fits, if nothing else comes. An amount above the limit never fits; then it is a window.
    `elapsed`: seconds of the present window."""
    if amount > limit:
        return window
    room = limit - amount
    if counted.now <= room:  # within this window, while the one before slides out
        left = 1 - (room - counted.now) / counted.before if counted.before else 0.0
        return max(0.0, left * window - elapsed)
    left = 1 - room / counted.now  # in the next window, while this one slides out
    return window - elapsed + left * window


def judged(requests: Counted, tokens: Counted, limits: Limits, amount: float, elapsed: float, window: float) -> Verdict:
    """The verdict on one request of `amount` tokens, by what was counted before it. The quotas of one that is admitted
    are those that are left after it."""
    still = 1 - elapsed / window  # of the window before, what lies within the last minute
    requests_used, tokens_used = requests.now + requests.before * still, tokens.now + tokens.before * still
    reason: Reason = ""
    if limits.requests is not None and requests_used + 1 > limits.requests:
        reason, counted, one, limit = "requests", requests, 1.0, limits.requests
    elif limits.tokens is not None and tokens_used + amount > limits.tokens:
        reason, counted, one, limit = "tokens", tokens, amount, limits.tokens
    if reason:
        seconds = wait(counted, one, limit, elapsed, window)
        asks = _quota(requests, requests_used, limits.requests, elapsed, window)
        spends = _quota(tokens, tokens_used, limits.tokens, elapsed, window)
        return Verdict(False, reason, max(1, math.ceil(seconds)), asks, spends)
    requests, tokens = Counted(requests.now + 1, requests.before), Counted(tokens.now + amount, tokens.before)
    asks = _quota(requests, requests_used + 1, limits.requests, elapsed, window)
    spends = _quota(tokens, tokens_used + amount, limits.tokens, elapsed, window)
    return Verdict(True, "", 0, asks, spends)


def _quota(counted: Counted, used: float, limit: int | None, elapsed: float, window: float) -> Quota | None:
    if not limit:
        return None
    left = int(limit - used) if used < limit else 0
    busy = 2 * window - elapsed if counted.now else window - elapsed if counted.before else 0.0
    return Quota(limit, left, math.ceil(busy))
