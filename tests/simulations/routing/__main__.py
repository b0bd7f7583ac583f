"""Which endpoint a prompt goes to, and what that costs: all strategies on all loads, in virtual time.

python -m tests.simulations.routing docs/benchmarks-routing.md docs/pictures [--quick]
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from .cost_of_a_choice import choices
from .grid import LATE, ORACLE, QUICK, STRATEGIES, Cell, Figures, Size, changed, grid, late
from .page import page
from .pictures import draw

OF_CHANGES = ("chat", "tenants")
OF_LATE = ("chat", "agents")


def told(cell: Cell, figures: Figures) -> None:
    sys.stderr.write(
        f"{cell.workload:8} {cell.load:6} {cell.strategy:27} {cell.gateways} #{cell.seed}: hits {figures.hits:.3f},"
        f" TTFT p50 {figures.p50:.2f} s, p99 {figures.p99:.2f} s\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulations.routing", description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--quick", action="store_true", help="a part of it, in less than a minute")
    given = parser.parse_args()
    size = QUICK if given.quick else Size()
    found = grid(size, told)
    changes = {
        (workload, strategy): changed(workload, strategy, size.questions)
        for workload in OF_CHANGES
        for strategy in (*STRATEGIES, ORACLE)
    }
    cost = {
        name: [choices(made()(random.Random(0)), endpoints, size.questions // 2) for endpoints in (8, 64)]
        for name, made in STRATEGIES.items()
    }
    lateness = {
        (workload, share): late(workload, share, size.questions, size.seeds, size.gateways[-1])
        for workload in OF_LATE
        for share in LATE
    }
    given.pictures.mkdir(parents=True, exist_ok=True)
    draw(found, size, given.pictures)
    given.page.write_text(page(found, size, changes, lateness, cost), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
