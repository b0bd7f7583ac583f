"""How many calls an upstream carries at once; who comes then waits, for a bounded time: by priority, and with the same
priority in fair shares between tenants."""

from __future__ import annotations

from nexus_gateway.exchange import Waiter
from nexus_gateway.fair_queue import FairQueue

LONGEST_QUEUE = 1000
"""Requests that wait for one upstream; more are turned away at once."""


class Full(Exception):
    """No room, and none to wait in, or the wait was too long."""


class Gate:
    """Not thread-safe: it belongs to the loop."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """May change while calls are inside or wait; it then holds for who goes in next."""
        self.inside = 0
        self._queues: dict[int, FairQueue] = {}
        """By priority."""

    @property
    def waiting(self) -> int:
        return sum(map(len, self._queues.values()))

    @property
    def free(self) -> bool:
        """True where a call would not wait."""
        return self.inside < self.limit and not self.waiting

    def enter(self, priority: int, tenant: str, tokens: int) -> Waiter[None]:
        """Settled when the call may go; fails with Full. `tokens` is what the call is expected to cost. Whoever gives
        up fails it, and the place goes to the next. Whoever got in calls `leave` once."""
        waiter: Waiter[None] = Waiter()
        if self.inside >= self.limit and self.waiting >= LONGEST_QUEUE:
            waiter.fail(Full())
            return waiter
        self._queues.setdefault(priority, FairQueue()).add(tenant, tokens, waiter)
        self._admit()
        return waiter

    def leave(self) -> None:
        self.inside -= 1
        self._admit()

    def _admit(self) -> None:
        while self.inside < self.limit and (waiter := self._next()) is not None:
            self.inside += 1
            waiter.give(None)

    def _next(self) -> Waiter[None] | None:
        for priority in sorted(self._queues, reverse=True):
            if (waiter := self._queues[priority].take()) is not None:
                return waiter
            del self._queues[priority]
        return None
