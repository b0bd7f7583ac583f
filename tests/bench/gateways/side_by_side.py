"""Nexus and other gateways under the same load, in turns: `make bench`.

    python -m tests.bench.gateways.side_by_side docs/benchmarks.md .nexus/benchmarks.json

Everything is started here, on loopback, and ends with the command. Ends with 1 where Nexus itself could not be
measured; a goal that is missed stands in the page and does not fail the command.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from nexus_release.errors import BadInput, NexusError

from .cases import ALL, QUICK, WHOLE
from .cores import cores
from .ends import BothEnds, compiled
from .gateways import ECHO, KNOWN, NEXUS, Gateway, chosen, there
from .goals import judged
from .measured import Measured
from .page import Setting, goal_row, page
from .rounds import Outcome, compared

DEFAULT = ",".join(name for name in KNOWN if name != ECHO)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gateways.side_by_side", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: to see that it works")
    parser.add_argument("--gateways", default=DEFAULT, help=f"comma-separated, of {', '.join(KNOWN)}")
    parser.add_argument("page", type=Path)
    parser.add_argument("json", type=Path)
    said = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # by the `with` blocks
    plan = QUICK if said.quick else WHOLE
    began, before = time.monotonic(), os.getloadavg()[0]
    ends_core, gateway_core = cores()
    try:
        asked = named(said.gateways)
        found, missing = there(asked)
        with (
            tempfile.TemporaryDirectory(prefix="nexus-bench-") as folder,
            BothEnds(compiled(Path(folder)), ends_core) as ends,
        ):
            outcome = compared([gateway for gateway, _ in found], ALL, plan, ends, Path(folder), gateway_core)
    except NexusError as error:
        parser.error(str(error))
    not_asked = dict.fromkeys(sorted({*DEFAULT.split(",")} - {gateway.name for gateway in asked}), "not asked for")
    outcome = Outcome(outcome.cells, {**missing, **outcome.left_out, **not_asked})
    versions = {gateway.name: version for gateway, version in found}
    minutes = (time.monotonic() - began) / 60
    setting = Setting(plan, versions, ends_core, gateway_core, before, os.getloadavg()[0], minutes)
    said.json.parent.mkdir(parents=True, exist_ok=True)
    said.json.write_text(json.dumps(asdict(outcome), indent=1) + "\n", encoding="utf-8")
    said.page.write_text(page(outcome, setting), encoding="utf-8")
    rows = list(judged(Measured(outcome.cells)))
    sys.stdout.write("\n".join(map(goal_row, rows)) + f"\nwritten: {said.page}\n")
    return 1 if NEXUS in versions and NEXUS in outcome.left_out else 0


def named(names: str) -> list[Gateway]:
    """Raises BadInput for a name that is not known."""
    try:
        return chosen(names)
    except KeyError as unknown:
        raise BadInput("--gateways", str(unknown.args[0]), f"take some of {', '.join(KNOWN)}") from None


if __name__ == "__main__":
    sys.exit(main())
