"""What one gateway may give away of a shared limit without asking, for a moment.

Far from a limit each decision of Redis brings some requests and tokens more, which it has counted already: they are
given away here, and what is left of them is given back. So what is admitted is never more than Redis has counted, and
near a limit, or where a limit is small, Redis decides each request as it always did.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from nexus_gateway.limits.limiter import Admitted, Reservation
from nexus_gateway.limits.windows import Counted, Limits, left_after

LEASE_SECONDS = 0.1
"""For which one is held; what is left of it is nobody else's so long."""
_PART = 1000  # of a limit: so much of it one gateway holds
_LEAST = 8  # requests or tokens; a lease of fewer spares nothing

Correct = Callable[[str, int, int, int, int], None]
"""(bucket, number of the window, requests, tokens, corrections): adds to what Redis has counted. `corrections`: of so
many requests. What is given back of a lease is none: where that is lost, requests are only refused too early."""


class _Lease:
    __slots__ = ("began", "counted", "elapsed", "ends", "limits", "requests", "tokens", "window")

    def __init__(self, limits: Limits, counted: Counted, window: int, elapsed: float, began: float) -> None:
        """`counted` with the request that brought it. `began`: when it was asked for, and not when it came, so that
        no window is taken for younger than it is; `elapsed` seconds of it were over then."""
        self.limits, self.counted, self.window, self.elapsed, self.began = limits, counted, window, elapsed, began
        self.ends = 0.0
        self.requests = self.tokens = 0
        """That are left, of those kinds that are limited."""

    def has(self, tokens: int) -> bool:
        enough = self.limits.requests is None or self.requests >= 1
        return enough and (self.limits.tokens is None or self.tokens >= tokens)


class Leases:
    """For the loop's thread alone."""

    def __init__(
        self,
        window: float,
        correct: Correct,
        seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`window` and `seconds` of a lease, in seconds. `clock`: seconds, never going back."""
        self.window, self._correct, self._seconds, self.clock = window, correct, seconds, clock
        self.held: dict[str, _Lease] = {}  # C gives of them too, see straight/counting.py
        self._asked: dict[str, float] = {}
        """Bucket -> when."""
        self._owed: dict[tuple[str, int], tuple[int, int, int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def take(self, bucket: str, limits: Limits, tokens: int) -> Admitted | None:
        """None where Redis is to be asked."""
        lease = self.held.get(bucket)
        if lease is None:
            return None
        now = self.clock()
        elapsed = lease.elapsed + now - lease.began
        if now >= lease.ends or elapsed >= self.window or lease.limits != limits:
            self._end(bucket)
            return None
        if not lease.has(tokens):
            return None
        left = left_after(lease.counted, limits, tokens, elapsed, self.window)
        if left is None:
            return None
        lease.counted.requests += 1
        lease.counted.tokens += tokens
        # What is not limited is not held, and told to Redis afterwards.
        owes_request, owes_tokens = limits.requests is None, limits.tokens is None
        lease.requests -= not owes_request
        lease.tokens -= 0 if owes_tokens else tokens
        if owes_request or owes_tokens:
            self.owe(bucket, lease.window, int(owes_request), tokens if owes_tokens else 0, corrections=0)
        return left, Reservation(bucket, tokens, lease.window, shared=True, leased=True)

    def ask(self, bucket: str, limits: Limits) -> tuple[int, int]:
        """Requests and tokens that Redis is to count besides; none where the limits are small, or where it is asked for
        some already. Whoever gets others calls `answered` once."""
        requests, tokens = _part(limits.requests), _part(limits.tokens)
        if bucket in self._asked or (limits.requests is not None and requests < _LEAST):
            return 0, 0
        if limits.tokens is not None and tokens < _LEAST:
            return 0, 0
        self._asked[bucket] = self.clock()
        return requests, tokens

    def answered(self, bucket: str) -> None:
        self._asked.pop(bucket, None)

    def granted(
        self, bucket: str, limits: Limits, counted: Counted, window: int, elapsed: float, more: tuple[int, int]
    ) -> None:
        """`counted` by Redis with the request itself; `more`: what it has counted besides."""
        lease = self.held.get(bucket)
        if lease is None or lease.window != window or lease.limits != limits:
            self._end(bucket)
            lease = self.held[bucket] = _Lease(limits, counted, window, elapsed, self._asked[bucket])
            lease.ends = lease.began + self._seconds
        lease.requests += more[0]
        lease.tokens += more[1]
        self._start_clock()

    def owe(self, bucket: str, window: int, requests: int, tokens: int, *, corrections: int = 1) -> None:
        """To be told to Redis soon, with all else of the same bucket."""
        before = self._owed.get((bucket, window), (0, 0, 0))
        self._owed[bucket, window] = (before[0] + requests, before[1] + tokens, before[2] + corrections)
        self._start_clock()

    def close(self) -> None:
        """Gives everything back."""
        for bucket in list(self.held):
            self._end(bucket)
        self._tell()
        if self._timer is not None:
            self._timer.cancel()

    def _end(self, bucket: str) -> None:
        lease = self.held.pop(bucket, None)
        if lease is not None and (lease.requests or lease.tokens):
            self.owe(bucket, lease.window, -lease.requests, -lease.tokens, corrections=0)

    def _tell(self) -> None:
        owed, self._owed = self._owed, {}
        for (bucket, window), (requests, tokens, corrections) in owed.items():
            if requests or tokens:
                self._correct(bucket, window, requests, tokens, corrections)

    def _start_clock(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._rang)

    def _rang(self) -> None:
        self._timer, now = None, self.clock()
        for bucket in [name for name, lease in self.held.items() if now >= lease.ends]:
            self._end(bucket)
        self._tell()
        if self._timer is not None:  # `_end` has started it, for what has been told by now
            self._timer.cancel()
            self._timer = None
        if self.held:
            self._start_clock()


def _part(limit: int | None) -> int:
    return 0 if limit is None else limit // _PART
