"""What the gateway costs, as a ratio to a bare proxy in the same rounds, against a baseline: `make bench-guard`.

    python -m tests.bench.gateways.guard [--write]

Ends with 1 where a core does 10 % less than the baseline says, beyond the spread of the rounds. `--write` makes what
was measured the new baseline.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from nexus_release.errors import NexusError

from .cases import REQUEST, STREAMS_32, STREAMS_256, Plan
from .cores import cores
from .ends import BothEnds, compiled
from .gateways import ECHO, KNOWN, NEXUS
from .measured import Measured
from .rounds import compared

BASELINE = Path(__file__).parent / "baseline.json"
ALLOWED_LOSS = 0.10
CASES = (REQUEST, STREAMS_32, STREAMS_256)
_PLAN = Plan(rounds=9, slow_rounds=0, seconds=0.7, slow_seconds=0.0, warm_seconds=0.2)


@dataclass(frozen=True)
class Held:
    """One case against its baseline. Ratios are capacity per core to the bare proxy's: more is better."""

    case: str
    baseline: float
    ratio: float
    """Median of the rounds."""
    upper: float
    """Their upper quartile: what is still below the bound is no accident of a few rounds."""

    @property
    def lost(self) -> bool:
        return self.upper < (1 - ALLOWED_LOSS) * self.baseline


def held(case: str, baseline: float, ratios: Sequence[float]) -> Held:
    """Of two rounds or more."""
    return Held(case, baseline, median(ratios), quantiles(ratios, n=4, method="inclusive")[2])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gateways.guard", description=__doc__)
    parser.add_argument("--write", action="store_true", help="take what is measured for the new baseline")
    parser.add_argument("--baseline", type=Path, default=BASELINE)
    said = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # by the `with` blocks
    try:
        ratios = measured_ratios()
    except NexusError as error:
        parser.error(str(error))
    if said.write:
        kept = {case: round(median(found), 3) for case, found in ratios.items()}
        said.baseline.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
        return 0
    baseline: Mapping[str, float] = json.loads(said.baseline.read_text(encoding="utf-8"))
    rows = [held(case, baseline[case], found) for case, found in ratios.items()]
    sys.stdout.writelines(map(told, rows))
    return 1 if any(row.lost for row in rows) else 0


def measured_ratios() -> dict[str, list[float]]:
    """Of each case, for each round. Raises NexusError where either cannot be measured."""
    ends_core, gateway_core = cores()
    with (
        tempfile.TemporaryDirectory(prefix="nexus-bench-") as folder,
        BothEnds(compiled(Path(folder)), ends_core) as ends,
    ):
        outcome = compared([KNOWN[ECHO], KNOWN[NEXUS]], CASES, _PLAN, ends, Path(folder), gateway_core)
    if outcome.left_out:
        raise NexusError("; ".join(f"{name}: {why}" for name, why in outcome.left_out.items()))
    measured = Measured(outcome.cells)
    found = {case.name: measured.each_round(NEXUS, ECHO, case) for case in CASES}
    if few := [case for case, ratios in found.items() if len(ratios) < _PLAN.rounds / 2]:
        raise NexusError(f"{', '.join(few)}: too many rounds had requests that failed")
    return found


def told(row: Held) -> str:
    bound = (1 - ALLOWED_LOSS) * row.baseline
    said = "LOST" if row.lost else "holds"
    figures = f"{row.ratio:.3f} of the bare proxy's capacity, upper quartile {row.upper:.3f}"
    return f"{row.case}: {said}: {figures}; baseline {row.baseline:.3f}, bound {bound:.3f}\n"


if __name__ == "__main__":
    sys.exit(main())
