"""How many calls an upstream carries at once; who comes then waits by priority, for a bounded time."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from nexus_gateway.exchange import Waiter, given

LONGEST_QUEUE = 1000
"""Requests that wait for one upstream; more are turned away at once."""


class Full(Exception):
    """No room, and none to wait in, or the wait was too long."""


@dataclass(order=True, slots=True)
class _Place:
    priority: int
    number: int
    waiter: Waiter[None] = field(compare=False)


class Gate:
    """Not thread-safe: it belongs to the loop. A larger priority goes first, equals in the order in which they came."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.inside = 0
        self._queue: list[_Place] = []
        self._number = 0

    @property
    def waiting(self) -> int:
        return sum(not place.waiter.settled for place in self._queue)

    def enter(self, priority: int) -> Waiter[None]:
        """Settled when the call may go; fails with Full. Whoever gives up fails it, and a place that is freed then goes
        to the next. Whoever got in calls `leave` once."""
        if self.inside < self.limit:
            self.inside += 1
            return given(None)
        waiter: Waiter[None] = Waiter()
        if self.waiting >= LONGEST_QUEUE:
            waiter.fail(Full())
            return waiter
        self._number += 1
        heapq.heappush(self._queue, _Place(-priority, self._number, waiter))
        return waiter

    def leave(self) -> None:
        while self._queue:
            place = heapq.heappop(self._queue)
            if not place.waiter.settled:
                place.waiter.give(None)  # the place inside goes from one to the other
                return
        self.inside -= 1
