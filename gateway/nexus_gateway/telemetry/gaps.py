"""How long a stream kept its client waiting between two events, seen by the gateway.

Each wait is counted, not the mean of a stream: a stall of five seconds among five hundred quick tokens is what a reader
notices and what a mean hides. An event is about a token; the end mark is one too. It costs 0.4 microseconds for each
read of the engine's bytes, clock included, and no memory that grows.

Only the wait for the engine counts, from when more was asked of it: a client that takes its bytes slowly does not make
an engine look slow. Events that come in one read are one wait and then none. A wait that no event ends is not counted;
that stream is broken, and its condition says so.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from nexus_gateway.telemetry.families import GAPS, TENANT_GAPS

_AMONG_FEWER = tuple(bisect_left(TENANT_GAPS, bound) for bound in (*GAPS, float("inf")))


class Gaps:
    """Of one stream, from its first event on; seconds."""

    __slots__ = ("counts", "longest", "total", "waited")

    def __init__(self) -> None:
        self.counts = [0] * (len(GAPS) + 1)
        """One for each bound, and one for what is above all."""
        self.total = self.longest = 0.0
        self.waited = 0.0
        """Since the last event, where a read has brought only a part of one."""

    def came(self, waited: float, events: int) -> None:
        """One read of the engine's bytes, which may hold no whole event, or several."""
        self.waited += waited
        if not events:
            return
        self.counts[bisect_left(GAPS, self.waited)] += 1
        self.counts[0] += events - 1
        self.total += self.waited
        self.longest = max(self.longest, self.waited)
        self.waited = 0.0

    def add(self, counts: Sequence[int], total: float, longest: float) -> None:
        """Of the same stream, counted elsewhere."""
        self.counts = [mine + more for mine, more in zip(self.counts, counts, strict=True)]
        self.total += total
        self.longest = max(self.longest, longest)


def by_fewer(counts: Sequence[int]) -> list[int]:
    """The counts by the bounds of TENANT_GAPS."""
    found = [0] * (len(TENANT_GAPS) + 1)
    for place, count in zip(_AMONG_FEWER, counts, strict=True):
        found[place] += count
    return found
