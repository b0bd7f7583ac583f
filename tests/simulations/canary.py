"""How often the canary's test cries wolf, and how soon it finds what is bad: whole canaries, decided by the real code.

    python -m tests.simulations.canary docs/benchmarks-canary.md

Seeds are fixed, so the same code writes the same page.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from nexus_release.canary.decision import Judged, Moments, decided, either, judgement
from nexus_release.canary.policy import CanaryPolicy, Metric
from nexus_release.canary.sequential import Table, log_mean, log_ratios
from nexus_release.canary.tallies import MEASURES, Block
from nexus_release.config import load_settings
from nexus_release.monitoring.windows import written

from ..support.canary_traffic import PLAIN, SAME, Behaviour, Traffic, draw, windows
from ..support.repository import ROOT

START = datetime(2026, 11, 1, tzinfo=UTC)
TEN_ALIKE = Traffic(per_session=10)


def as_declared(policy: CanaryPolicy) -> CanaryPolicy:
    return policy


def strict(policy: CanaryPolicy) -> CanaryPolicy:
    """Nothing worse is allowed and much is risked, so that the bound is as near as it can be."""
    nothing = policy.allowed.model_copy(update=dict.fromkeys(type(policy.allowed).model_fields, 1.0))
    return policy.model_copy(
        update={"allowed": nothing, "alpha": 0.05, "least_errors": 0.0, "steps": (10,), "then": "stay"}
    )


def told_of_sessions(policy: CanaryPolicy) -> CanaryPolicy:
    return policy.model_copy(update={"session_requests": float(TEN_ALIKE.per_session)})


def strict_and_told_of_sessions(policy: CanaryPolicy) -> CanaryPolicy:
    return told_of_sessions(strict(policy))


@dataclass(frozen=True)
class Ending:
    """Of one canary."""

    action: str
    weight: int
    requests: int
    """Of both releases, until then."""
    of_canary: int
    guilty: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    name: str
    canary: Behaviour = SAME
    traffic: Traffic = PLAIN
    policy: Callable[[CanaryPolicy], CanaryPolicy] = as_declared
    seeds: int = 40
    looks: int = 80
    """At most."""


EQUAL = (
    Case("as `base.yaml` declares it, alpha 0.01", seeds=300),
    Case("the same, and ten requests a session that are alike", traffic=TEN_ALIKE, seeds=60),
    Case("the same, with `session_requests: 10`", policy=told_of_sessions, traffic=TEN_ALIKE, seeds=60),
    Case("nothing worse allowed, alpha 0.05, 40 looks at 10 %", policy=strict, seeds=200, looks=40),
    Case("the same, and both swing by the hour", policy=strict, traffic=Traffic(swing=0.3), seeds=100, looks=40),
    Case("the same, and ten requests a session that are alike", policy=strict, traffic=TEN_ALIKE, seeds=60, looks=40),
    Case(
        "the same, with `session_requests: 10`",
        policy=strict_and_told_of_sessions,
        traffic=TEN_ALIKE,
        seeds=60,
        looks=40,
    ),
)
WORSE = (
    Case("first byte +30 %", Behaviour(slower=1.3)),
    Case("first byte +30 %, the slowest 5 % alone", Behaviour(slower_tail=1.3)),
    Case("first byte +30 %, ten alike, `session_requests: 10`", Behaviour(slower=1.3), TEN_ALIKE, told_of_sessions),
    Case("first byte +20 %", Behaviour(slower=1.2)),
    Case("first byte +10 %", Behaviour(slower=1.1)),
    Case("2 % errors for 0.2 %", Behaviour(errors=0.02)),
    Case("1 % errors for 0.2 %", Behaviour(errors=0.01)),
    Case("0.5 % errors for 0.2 %", Behaviour(errors=0.005)),
    Case("3 % refusals for 1 %", Behaviour(refusals=0.03)),
    Case("inter-token wait +30 %", Behaviour(gap=1.3)),
    Case("answers 30 % shorter", Behaviour(longer=0.7)),
)


class Looks:
    """What `judged` finds after each block, without counting all earlier ones again."""

    def __init__(self, policy: CanaryPolicy) -> None:
        self.policy, self.blocks = policy, list[Block]()
        self.sums: dict[tuple[Metric, bool], Any] = {}

    def add(self, block: Block) -> tuple[Judged, ...]:
        self.blocks.append(block)
        return tuple(judgement(self.policy, metric, self._evidence(metric, block), self.blocks) for metric in MEASURES)

    def _evidence(self, metric: Metric, block: Block) -> float:
        tables = MEASURES[metric].tables(block)
        if not MEASURES[metric].both_ways:
            return self._more(metric, False, tables)
        return either(self._more(metric, False, tables), self._more(metric, True, [one.turned for one in tables]))

    def _more(self, metric: Metric, turned: bool, tables: Sequence[Table]) -> float:
        found = log_ratios(tables, getattr(self.policy.allowed, metric), self.policy.session_requests)
        self.sums[metric, turned] = self.sums.get((metric, turned), 0.0) + found
        return log_mean(self.sums[metric, turned].ravel())


def canary(policy: CanaryPolicy, case: Case, seed: int) -> Ending:
    """From its first weight to its end, looked at after every block."""
    rng, looks = np.random.default_rng(seed), Looks(policy)
    weight, since, blocks = policy.steps[0], START, list[Block]()
    for number, window in enumerate(windows(START, case.looks, policy.look_seconds), 1):
        blocks.append(draw(rng, window, weight, case.canary, case.traffic))
        until = START + timedelta(seconds=number * policy.look_seconds)
        moments = Moments(began=written(START), since=written(since), until=written(until))
        tests = looks.add(blocks[-1])
        decision = decided(policy, weight, moments, tests, blocks)
        if decision.action == "revert":
            return _ended("revert", weight, looks.blocks, tuple(one.metric for one in tests if one.guilty))
        if decision.action == "promote":
            break
        if decision.action == "advance":
            weight, since, blocks = decision.weight, until, []
    return _ended("good", weight, looks.blocks, ())


def endings(case: Case, seeds: int | None = None) -> list[Ending]:
    declared = load_settings(ROOT, "prod").canary.model_copy(update={"then": "promote"})  # so that it has an end
    policy = case.policy(declared)
    numbers = range(seeds or case.seeds)
    if seeds:
        return [canary(policy, case, seed) for seed in numbers]
    with ProcessPoolExecutor() as pool:
        return list(pool.map(partial(canary, policy, case), numbers, chunksize=8))


def share(part: int, whole: int) -> tuple[float, float, float]:
    """With its 95 % interval (Wilson 1927)."""
    z, p = NormalDist().inv_cdf(0.975), part / whole
    middle = (p + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z * math.sqrt(p * (1 - p) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return p, max(0.0, middle - half), middle + half


def equal_row(case: Case, found: Sequence[Ending]) -> str:
    back = sum(one.action == "revert" for one in found)
    p, low, high = share(back, len(found))
    return f"| {case.name} | {len(found)} | {back} | {p:.2%} | {low:.2%} to {high:.2%} |"


def worse_row(case: Case, found: Sequence[Ending]) -> str:
    back = [one for one in found if one.action == "revert"]
    p, low, high = share(len(back), len(found))
    where = Counter(one.weight for one in back)
    at = ", ".join(f"{weight} %: {count}" for weight, count in sorted(where.items())) or "nowhere"
    return (
        f"| {case.name} | {p:.1%} ({low:.1%} to {high:.1%}) | {_middle(one.of_canary for one in back)} |"
        f" {_middle(one.requests for one in back)} | {at} |"
    )


def page(told: Callable[[str], None]) -> str:
    rows: dict[str, list[str]] = {"equal": [], "worse": []}
    for group, cases, row in (("equal", EQUAL, equal_row), ("worse", WORSE, worse_row)):
        for case in cases:
            rows[group].append(row(case, endings(case)))
            told(rows[group][-1])
    text = (ROOT / "tests/simulations/canary.md").read_text(encoding="utf-8")
    told_rows = {name: "\n".join(of_group) for name, of_group in rows.items()}
    return text.format(**told_rows, worse_seeds=Case.seeds)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulations.canary", description=__doc__)
    parser.add_argument("page", type=Path)
    given = parser.parse_args()
    given.page.write_text(page(lambda row: sys.stderr.write(row + "\n")), encoding="utf-8")
    return 0


def _ended(action: str, weight: int, blocks: Iterable[Block], guilty: tuple[str, ...]) -> Ending:
    all_of = list(blocks)
    of_canary = sum(block.canary.requests for block in all_of)
    return Ending(action, weight, of_canary + sum(block.stable.requests for block in all_of), of_canary, guilty)


def _middle(values: Iterable[int]) -> str:
    """Median, and what 95 % stay within."""
    found = sorted(values)
    if not found:
        return "-"
    return f"{found[len(found) // 2]:,} ({found[min(len(found) - 1, int(len(found) * 0.95))]:,})"


if __name__ == "__main__":
    sys.exit(main())
