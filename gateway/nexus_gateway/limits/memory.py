"""Counts in this process: exact for one gateway; N gateways together admit up to N times as much."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from nexus_gateway.exchange import Waiter, given
from nexus_gateway.limits.limiter import Admitted, Decision, Reservation
from nexus_gateway.limits.windows import WINDOW_SECONDS, Counted, Limits, judged, left_after, verdict_of

MOST_BUCKETS = 100_000
"""Above it the bucket that was used longest ago is forgotten. Open: its caller begins anew."""


class _Bucket(Counted):
    __slots__ = ("window",)

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def slide(self, window: int) -> None:
        if window != self.window:
            follows = window == self.window + 1
            self.requests_before = self.requests if follows else 0
            self.tokens_before = self.tokens if follows else 0
            self.requests = self.tokens = 0
            self.window = window

    def correct(self, window: int, requests: float, tokens: float) -> None:
        """Adds to the window that was counted in, while it is one of the two."""
        if window == self.window:
            requests, tokens = self.requests + requests, self.tokens + tokens  # no `max`: it costs more than the rest
            self.requests, self.tokens = requests if requests > 0 else 0, tokens if tokens > 0 else 0
        elif window == self.window - 1:
            self.requests_before = max(0, self.requests_before + requests)
            self.tokens_before = max(0, self.tokens_before + tokens)


class MemoryLimiter:
    """The port `Limiter`, for the loop's thread alone."""

    shared, lost, leases = False, 0, None

    def __init__(self, clock: Callable[[], float] = time.monotonic, window: float = WINDOW_SECONDS) -> None:
        """`clock`: seconds, never going back. `window`: seconds."""
        self.clock, self.window = clock, window
        self.buckets: OrderedDict[str, _Bucket] = OrderedDict()  # C counts in them too, see straight/counting.py

    def __len__(self) -> int:
        return len(self.buckets)

    async def begin(self) -> None:
        """Nothing is needed."""

    def reserve(self, bucket: str, limits: Limits, tokens: int) -> Waiter[Decision]:
        if (admitted := self.at_once(bucket, limits, tokens)) is not None:
            return given((verdict_of(admitted[0], limits), admitted[1]))
        number, elapsed = divmod(self.clock(), self.window)
        found = self._bucket(bucket, int(number))
        return given((judged(found, limits, tokens, elapsed, self.window), None))

    def at_once(self, bucket: str, limits: Limits, tokens: int) -> Admitted | None:
        number, elapsed = divmod(self.clock(), self.window)
        found = self._bucket(bucket, window := int(number))
        left = left_after(found, limits, tokens, elapsed, self.window)
        if left is None:
            return None
        found.requests += 1
        found.tokens += tokens
        return left, Reservation(bucket, tokens, window)

    def settle(self, reservation: Reservation, tokens: int) -> None:
        self._correct(reservation, 0, max(0, tokens) - reservation.tokens)

    def refund(self, reservation: Reservation) -> None:
        self._correct(reservation, -1, -reservation.tokens)

    async def close(self) -> None:
        """Nothing is held."""

    def _correct(self, reservation: Reservation, requests: float, tokens: float) -> None:
        if reservation.settled:
            return
        reservation.settled = True
        if (found := self.buckets.get(reservation.bucket)) is not None:
            window = int(self.clock() // self.window)
            if window != found.window:
                found.slide(window)
            found.correct(reservation.window, requests, tokens)

    def _bucket(self, name: str, window: int) -> _Bucket:
        found = self.buckets.get(name)
        if found is None:
            if len(self.buckets) >= MOST_BUCKETS:
                self.buckets.popitem(last=False)
            found = self.buckets[name] = _Bucket(window)
        else:
            self.buckets.move_to_end(name)
            if window != found.window:
                found.slide(window)
        return found
