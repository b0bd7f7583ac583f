"""What the rounds come to: medians with least and most, and ratios within each round."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from .cases import FEW, IDLE, LATENCY, POOLED, STREAMS_1000
from .ends import Case, Run
from .rounds import DIRECT, Cell

_KEPT_UP = 0.95
"""Of an open loop's requests, by a gateway whose latency means anything."""
_PERCENTILES: dict[int, Callable[[Run], float]] = {50: lambda run: run.p50_us, 99: lambda run: run.p99_us}


@dataclass(frozen=True)
class Spread:
    middle: float
    """Median."""
    least: float
    most: float


class Measured:
    """Every figure is None where it was not measured, or where requests failed."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self._runs: dict[tuple[str, str], dict[int, Run]] = {}
        for cell in cells:
            self._runs.setdefault((cell.gateway, cell.case), {})[cell.round] = cell.run

    def cost(self, gateway: str, case: Case) -> Spread | None:
        """Microseconds of CPU for a request, or for an event of a stream."""
        return spread(self._costs(gateway, case).values())

    def times(self, gateway: str, other: str, case: Case) -> Spread | None:
        """How many times as much a core does by `gateway` as by `other`."""
        return spread(self.each_round(gateway, other, case))

    def each_round(self, gateway: str, other: str, case: Case) -> list[float]:
        """The same for each round that both have."""
        return in_each_round(self._costs(other, case), self._costs(gateway, case))

    def added(self, gateway: str, percent: int) -> Spread | None:
        """Microseconds that a percentile of latency is above the one without a gateway, at LATENCY."""
        return spread(self._added(gateway, percent).values())

    def times_added(self, gateway: str, other: str, percent: int) -> Spread | None:
        """How many times the added latency of `other`."""
        return spread(in_each_round(self._added(gateway, percent), self._added(other, percent)))

    def times_pooled(self, gateway: str) -> Spread | None:
        """What a request costs beside 256 idle connections to the engine, to what it costs without them."""
        return spread(in_each_round(self._costs(gateway, POOLED), self._costs(gateway, FEW)))

    def idle_memory(self, gateway: str) -> Spread | None:
        """MiB, as it has started."""
        return spread(run.rss_kib / 1024 for run in self._of(gateway, IDLE).values())

    def stream_memory(self, gateway: str) -> Spread | None:
        """MiB more than that, under 1000 streams."""
        if not (idle := self.idle_memory(gateway)):
            return None
        return spread(run.rss_kib / 1024 - idle.middle for run in self._of(gateway, STREAMS_1000).values())

    def errors(self) -> dict[tuple[str, str], int]:
        """(gateway, case) -> requests that failed, where any did."""
        return self._counted(lambda run: run.errors)

    def stalls(self) -> dict[tuple[str, str], int]:
        """The same of events that a gateway kept so long that the next was sent without it."""
        return self._counted(lambda run: run.stalls)

    def _counted(self, of: Callable[[Run], int]) -> dict[tuple[str, str], int]:
        counted = {place: sum(map(of, runs.values())) for place, runs in self._runs.items()}
        return {place: count for place, count in counted.items() if count}

    def _of(self, gateway: str, case: Case) -> dict[int, Run]:
        return self._runs.get((gateway, case.name), {})

    def _costs(self, gateway: str, case: Case) -> dict[int, float]:
        runs = self._of(gateway, case)
        return {number: run.cpu_us / run.units for number, run in runs.items() if run.units and not run.errors}

    def _added(self, gateway: str, percent: int) -> dict[int, float]:
        direct = self._of(DIRECT, LATENCY)
        of = _PERCENTILES[percent]
        return {
            number: of(run) - of(direct[number])
            for number, run in self._of(gateway, LATENCY).items()
            if number in direct and not run.errors and run.units >= _KEPT_UP * LATENCY.rate * run.seconds
        }


def in_each_round(above: Mapping[int, float], below: Mapping[int, float]) -> list[float]:
    """The quotients of those rounds that both have; a round has the same hour and the same neighbours for both."""
    return [above[number] / below[number] for number in sorted(above.keys() & below.keys()) if below[number] > 0]


def spread(values: Iterable[float]) -> Spread | None:
    found = list(values)
    return Spread(median(found), min(found), max(found)) if found else None
