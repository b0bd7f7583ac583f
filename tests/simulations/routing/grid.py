"""Every strategy on every load: what is run, and the figures of each run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import fmean, pstdev

from .gateways import Handled, Made
from .run import Change, Fleet, run
from .strategies.bounded_ring import BoundedRing
from .strategies.by_load import Chance, LeastLoad
from .strategies.nexus import Nexus
from .strategies.oracle import WEIGHTS, oracle
from .strategies.prefix_trees import CacheAware, ExpectedWait
from .strategies.remembering import remembering
from .workloads import ENGINES, HELD_OUT, LOADS, WORKLOADS, Trace, Workload, by_name, trace

WITH_MEMORY = "Nexus, with memory"
STRATEGIES: dict[str, Callable[[], Made]] = {
    "random": lambda: Chance,
    "least load": lambda: LeastLoad,
    "KubeAI": lambda: BoundedRing,
    "vllm-router, sglang-router": lambda: CacheAware,
    "smg": lambda: ExpectedWait,
    "Nexus": lambda: Nexus,
    WITH_MEMORY: remembering,
}
"""Made anew for each run, since its gateways may share something."""
ORACLE = "oracle"
ALONE = ("random", ORACLE)
"""For these it makes no difference how many gateways there are."""
OURS = ("Nexus", WITH_MEMORY)
REPEATED = ("least load", *OURS, ORACLE)
"""What the figures that were wanted are made of: these run with every seed, the others with the first."""
GATEWAYS = (1, 2, 4, 8)
CHANGES_LOAD, WINDOW = 0.5, 20.0


@dataclass(frozen=True)
class Size:
    """Of a whole benchmark."""

    questions: int = 1000
    gateways: tuple[int, ...] = GATEWAYS
    loads: tuple[str, ...] = tuple(LOADS)
    workloads: tuple[str, ...] = tuple(one.__name__ for one in WORKLOADS)
    seeds: tuple[int, ...] = HELD_OUT

    def gateways_of(self, strategy: str, load: str) -> tuple[int, ...]:
        """All of them at saturation; beside it the fewest and the most."""
        ends = self.gateways if load == "at" else (self.gateways[0], self.gateways[-1])
        return self.gateways[:1] if strategy in ALONE else ends


QUICK = Size(questions=300, gateways=(1, 8), loads=("at",), workloads=("tenants", "hot", "little"), seeds=HELD_OUT[:1])


@dataclass(frozen=True)
class Cell:
    workload: str
    load: str
    strategy: str
    gateways: int
    seed: int = HELD_OUT[0]


@dataclass(frozen=True)
class Figures:
    questions: int
    hits: float
    """Cached prompt tokens of all."""
    mean: float
    p50: float
    p99: float
    """Seconds to the first token."""
    good: float
    """Share whose first token came within the workload's patience."""
    goodput: float
    """Such questions a second, of those that came."""
    spread: float
    """Coefficient of variation of the prompts' tokens that each engine was given."""
    remembered: tuple[int, int]
    """Things kept by one gateway, after half of the questions and at the end."""


def cells(size: Size) -> list[Cell]:
    return [
        Cell(workload, load, strategy, gateways, seed)
        for workload in size.workloads
        for load in size.loads
        for seed in size.seeds
        for strategy in ((*STRATEGIES, ORACLE) if seed == size.seeds[0] else REPEATED)
        for gateways in size.gateways_of(strategy, load)
    ]


def measured(cell: Cell, questions: int) -> Figures:
    workload = by_name([cell.workload])[0]
    asked = trace(workload, LOADS[cell.load], questions, cell.seed)
    made = [oracle(weight) for weight in WEIGHTS] if cell.strategy == ORACLE else [STRATEGIES[cell.strategy]()]
    return min((figures(workload, asked, cell.gateways, one) for one in made), key=lambda found: found.mean)


def grid(size: Size, told: Callable[[Cell, Figures], None]) -> dict[Cell, Figures]:
    todo, found = cells(size), dict[Cell, Figures]()
    with ProcessPoolExecutor() as pool:
        for cell, figures in zip(todo, pool.map(measured, todo, [size.questions] * len(todo)), strict=True):
            found[cell] = figures
            told(cell, figures)
    return found


def figures(workload: Workload, asked: Trace, gateways: int, made: Made) -> Figures:
    ran = run(asked.questions, Fleet(workload.machine, ENGINES, gateways), made)
    counted = [one for one in ran.handled if one.question.at >= asked.measured_from]
    waits = sorted(one.first - one.question.at for one in counted)
    good = sum(wait <= workload.patience for wait in waits)
    return Figures(
        len(counted),
        hits(counted),
        fmean(waits),
        percentile(waits, 0.5),
        percentile(waits, 0.99),
        good / len(counted),
        good / asked.seconds,
        spread(counted),
        (ran.remembered[len(ran.remembered) // 2], ran.remembered[-1]),
    )


def hits(of: Sequence[Handled]) -> float:
    return sum(one.cached for one in of) / sum(one.question.prompt for one in of)


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def spread(of: Sequence[Handled]) -> float:
    given = Counter[str]()
    for one in of:
        given[one.engine] += one.question.prompt
    values = [given[f"http://engine-{number}:8000"] for number in range(ENGINES)]
    return pstdev(values) / fmean(values)


@dataclass(frozen=True)
class Changed:
    """Hit ratio and 99th percentile of the time to the first token: before, in the seconds after an engine was taken
    out, and in those after an empty one came."""

    hits: tuple[float, float, float]
    p99: tuple[float, float, float]


def changed(workload_name: str, strategy: str, questions: int, gateways: int = 4) -> Changed:
    workload = by_name([workload_name])[0]
    asked = trace(workload, CHANGES_LOAD, questions, HELD_OUT[0])
    leaves = asked.measured_from + asked.seconds * 0.34
    comes = asked.measured_from + asked.seconds * 0.67
    changes = (Change(leaves, tuple(range(ENGINES - 1))), Change(comes, (*range(ENGINES - 1), ENGINES)))
    made = oracle(3.0) if strategy == ORACLE else STRATEGIES[strategy]()
    handled = run(asked.questions, Fleet(workload.machine, ENGINES, gateways, changes), made).handled
    windows = [(asked.measured_from, leaves), (leaves, leaves + WINDOW), (comes, comes + WINDOW)]
    parts = [[one for one in handled if begin <= one.question.at < end] for begin, end in windows]
    ratios, tails = [], []
    for part in parts:
        ratios.append(hits(part))
        tails.append(percentile(sorted(one.first - one.question.at for one in part), 0.99))
    return Changed((ratios[0], ratios[1], ratios[2]), (tails[0], tails[1], tails[2]))


LATE = (0.0, 0.01, 0.05, 0.5, 1.0)


def late(workload_name: str, share: float, questions: int, seeds: Sequence[int], gateways: int) -> tuple[float, float]:
    """Hit ratio and 99th percentile of the time to the first token at saturation, on average, where such a share of
    recalls comes too late."""
    workload = by_name([workload_name])[0]
    asked = [trace(workload, LOADS["at"], questions, seed) for seed in seeds]
    found = [figures(workload, one, gateways, remembering(share)) for one in asked]
    return fmean([one.hits for one in found]), fmean([one.p99 for one in found])
