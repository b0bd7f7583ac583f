"""What the gateway is to reach, and whether it has: capacity per core against others, latency, memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .cases import COMPARED, REQUEST
from .gateways import FASTAPI, LITELLM, NEXUS, NEXUS_ASGI, NGINX, VLLM_ROUTER
from .measured import Measured, Spread

Verdict = Literal["goal", "must", "**missed**", "not measured"]


@dataclass(frozen=True)
class Bounds:
    must: float
    """What is worse is a fault."""
    goal: float


@dataclass(frozen=True)
class Judged:
    what: str
    bounds: Bounds
    more_is_better: bool
    found: Spread | None

    @property
    def verdict(self) -> Verdict:
        """By the median."""
        if self.found is None:
            return "not measured"
        if self._holds(self.bounds.goal):
            return "goal"
        return "must" if self._holds(self.bounds.must) else "**missed**"

    def _holds(self, bound: float) -> bool:
        assert self.found
        return self.found.middle >= bound if self.more_is_better else self.found.middle <= bound


CAPACITY = {
    NGINX: (Bounds(0.55, 0.75), Bounds(0.90, 1.1), Bounds(0.80, 1.1), Bounds(0.62, 0.90)),
    VLLM_ROUTER: (Bounds(2.5, 4), Bounds(1.15, 1.35), Bounds(1.05, 1.3), Bounds(0.90, 1.25)),
    FASTAPI: (Bounds(50, 110), Bounds(5, 6.5), Bounds(7, 10)),
    LITELLM: (Bounds(200, 500), Bounds(50, 75), Bounds(100, 170)),
}
"""Times the capacity of each, per core, in the cases of COMPARED."""
ASGI_EDGE = Bounds(10, 10)
ADDED_LATENCY = Bounds(1.25, 1.05)
IDLE_MEMORY = Bounds(60, 52)
STREAM_MEMORY = Bounds(12, 8)
POOLED_CONNECTIONS = Bounds(1.1, 1.05)
"""They are to cost nothing; this much is within the noise."""


def judged(measured: Measured) -> Iterator[Judged]:
    for other, bounds in CAPACITY.items():
        for case, bound in zip(COMPARED, bounds, strict=False):  # slow ones have no figure at 1000 streams
            found = measured.times(NEXUS, other, case)
            yield Judged(f"{case.name}: times the capacity of {other}", bound, more_is_better=True, found=found)
    asgi = measured.times(NEXUS_ASGI, FASTAPI, REQUEST)
    yield Judged(f"{REQUEST.name}, ASGI edge: times the capacity of {FASTAPI}", ASGI_EDGE, True, asgi)
    added = measured.times_added(NEXUS, NGINX, 50)
    yield Judged("added latency at 1000 requests/s, p50: times nginx's", ADDED_LATENCY, False, added)
    yield Judged("memory idle, MiB", IDLE_MEMORY, False, measured.idle_memory(NEXUS))
    yield Judged("memory for 1000 streams, MiB more", STREAM_MEMORY, False, measured.stream_memory(NEXUS))
    pooled = measured.times_pooled(NEXUS)
    yield Judged("a request beside 256 idle connections: times its cost", POOLED_CONNECTIONS, False, pooled)
