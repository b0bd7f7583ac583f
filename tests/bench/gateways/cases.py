"""Which loads are put on the gateways, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from .ends import EVENTS, Case

REQUEST = Case("request", clients=64)
STREAMS_32 = Case("32 streams", clients=32, events=EVENTS)
STREAMS_256 = Case("256 streams", clients=256, events=EVENTS)
STREAMS_1000 = Case("1000 streams", clients=1000, events=EVENTS)
LATENCY = Case("1000 requests/s", clients=64, rate=1000.0)
FEW = Case("16 clients", clients=16)
POOLED = Case("16 clients, 256 idle", clients=16, pooled=256)
IDLE = Case("idle", clients=0)

COMPARED = (REQUEST, STREAMS_32, STREAMS_256, STREAMS_1000)
"""Whose CPU time for each unit is compared."""
ALL = (*COMPARED, LATENCY, FEW, POOLED)
SLOW = (REQUEST, STREAMS_32, STREAMS_256)
"""For gateways that would be drowned by the others."""


@dataclass(frozen=True)
class Plan:
    rounds: int
    slow_rounds: int
    """The first of them, in which slow gateways take part."""
    seconds: float
    """That are measured in each case, of each gateway."""
    slow_seconds: float
    """The same for slow ones, which answer little in a second."""
    warm_seconds: float


WHOLE = Plan(rounds=4, slow_rounds=2, seconds=1.0, slow_seconds=3.0, warm_seconds=0.25)
QUICK = Plan(rounds=3, slow_rounds=1, seconds=0.6, slow_seconds=2.0, warm_seconds=0.2)
