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


@dataclass(slots=True)
class Counted:
    """What one bucket has used, in the present window and in the one before."""

    requests: float = 0
    requests_before: float = 0
    tokens: float = 0
    tokens_before: float = 0


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


Left = tuple[int, ...]
"""Of each limit that there is, requests first: the limit, what remains, and whole seconds until all of it is free."""


def left_after(counted: Counted, limits: Limits, amount: float, elapsed: float, window: float) -> Left | None:
    """What is left after one request of `amount` tokens; None where it does not fit, which `judged` has the reason for.
    Numbers alone, since most requests fit, and what a verdict is made of takes as long as the decision."""
    requests, tokens = limits.requests, limits.tokens
    still = 1 - elapsed / window  # of the window before, what lies within the last minute
    asked = counted.requests + counted.requests_before * still + 1
    spent = counted.tokens + counted.tokens_before * still + amount
    if (requests is not None and asked > requests) or (tokens is not None and spent > tokens):
        return None
    free = math.ceil(window - elapsed + window)
    asks = () if requests is None else (requests, int(requests - asked), free)
    if tokens is None:
        return asks
    if counted.tokens + amount == 0:  # nothing but the window before counts
        free = math.ceil(window - elapsed) if counted.tokens_before else 0
    return (*asks, tokens, int(tokens - spent), free)


def verdict_of(left: Left, limits: Limits) -> Verdict:
    """On a request that fits."""
    asks = Quota(*left[:3]) if limits.requests is not None else None
    return Verdict(True, "", 0, asks, Quota(*left[-3:]) if limits.tokens is not None else None)


def judged(counted: Counted, limits: Limits, amount: float, elapsed: float, window: float) -> Verdict:
    """The verdict on one request of `amount` tokens, by what was counted before it. The quotas of one that is admitted
    are those that are left after it. `elapsed`: seconds of the present window, which has `window`."""
    requests, requests_before = counted.requests, counted.requests_before
    tokens, tokens_before = counted.tokens, counted.tokens_before
    if (fits := left_after(counted, limits, amount, elapsed, window)) is not None:
        return verdict_of(fits, limits)
    still = 1 - elapsed / window
    asked, spent = requests + requests_before * still, tokens + tokens_before * still
    if limits.requests is not None and asked + 1 > limits.requests:
        reason: Reason = "requests"
        seconds = _wait(requests, requests_before, 1, limits.requests, elapsed, window)
    else:
        reason = "tokens"
        seconds = _wait(tokens, tokens_before, amount, limits.tokens or 0, elapsed, window)
    left, asks, spends = window - elapsed, None, None
    if limits.requests is not None:
        asks = _quota(limits.requests, asked, left + window if requests else left if requests_before else 0.0)
    if limits.tokens is not None:
        spends = _quota(limits.tokens, spent, left + window if tokens else left if tokens_before else 0.0)
    return Verdict(False, reason, max(1, math.ceil(seconds)), asks, spends)


def _quota(limit: int, used: float, busy: float) -> Quota:
    """`busy`: seconds until all of it is free again."""
    return Quota(limit, int(limit - used) if used < limit else 0, math.ceil(busy))


def _wait(now: float, before: float, amount: float, limit: int, elapsed: float, window: float) -> float:
    """Seconds until `amount` fits, if nothing else comes. An amount above the limit never fits; then it is a window."""
    if amount > limit:
        return window
    room = limit - amount
    if now <= room:  # within this window, while the one before slides out
        left = 1 - (room - now) / before if before else 0.0
        return max(0.0, left * window - elapsed)
    left = 1 - room / now  # in the next window, while this one slides out
    return window - elapsed + left * window
