"""What C counts of limits, and what it says of a request of its own that goes on in Python."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from nexus_gateway.limits.limiter import Admitted, Limiter, Reservation
from nexus_gateway.limits.memory import MemoryLimiter
from nexus_gateway.limits.windows import Left

if TYPE_CHECKING:
    from nexus_native import Buckets, Leases

Reserved = Callable[[str, Left, int, int], Admitted]
"""(bucket, what is left, tokens, number of the window)."""


def counting_of(limiter: Limiter) -> tuple[Buckets | Leases | None, Reserved]:
    """None where the limiter is to be asked of each request."""
    from nexus_native import Buckets, Leases

    if isinstance(limiter, MemoryLimiter):
        return Buckets(limiter.buckets, limiter.window, _clock(limiter.clock)), _reserved
    if (leases := limiter.leases) is not None:
        return Leases(leases.held, leases.window, _clock(leases.clock), leases.owe), partial(_reserved, leased=True)
    return None, _reserved


def _clock(clock: Callable[[], float]) -> Callable[[], float] | None:
    return None if clock is time.monotonic else clock  # C has that of its own


def _reserved(bucket: str, left: Left, tokens: int, window: int, *, leased: bool = False) -> Admitted:
    return left, Reservation(bucket, tokens, window, shared=leased, leased=leased)
