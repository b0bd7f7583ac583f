"""Real gateways on some of the loads, in real time: writes measured.json and the page's part about them.

python -m tests.simulations.routing.real docs/benchmarks-routing.md [--quick]
"""

from __future__ import annotations

import argparse
import datetime
import sys
import tempfile
from pathlib import Path

from ....bench.page import machine
from ..workloads import HELD_OUT, LOADS, by_name, trace
from .gateways import REAL
from .measured import Measured, write
from .runs import growth, rows
from .table import replaced, section

WORKLOADS = ("chat", "tenants", "hot")
NUMBERS = (1, 4)
LOAD = "below"
QUESTIONS, WARMING, RUSH = 400, 2_000, 10_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulations.routing.real", description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--quick", action="store_true", help="one workload, and nothing is written")
    given = parser.parse_args()
    there = [kind for kind in REAL if kind.version()]
    for kind in REAL:
        if kind not in there:
            sys.stderr.write(f"{kind.name} is not here: make setup-bench\n")
    rush = RUSH // 10 if given.quick else RUSH
    with tempfile.TemporaryDirectory() as folder:
        found = [
            row
            for workload in by_name(WORKLOADS[-1:] if given.quick else WORKLOADS)
            for row in rows(
                workload, trace(workload, LOADS[LOAD], QUESTIONS, HELD_OUT[0]), there, NUMBERS, Path(folder)
            )
        ]
        grown = [growth(kind, WARMING, rush, Path(folder)) for kind in there]
    versions = {kind.name: kind.version() or "" for kind in there}
    date = str(datetime.datetime.now(datetime.UTC).date())
    measured = Measured(date, machine(), versions, LOAD, QUESTIONS, found, WARMING, rush, grown)
    if given.quick:
        sys.stdout.write(section(measured) + "\n")
        return 0
    write(measured)
    given.page.write_text(replaced(given.page.read_text(encoding="utf-8"), section(measured)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
