"""The chaos scenarios of `ops/chaos/scenarios.yaml`, done to a real stack: `make chaos`.

    python -m tests.chaos.scenarios --only engine-killed redis-gone
    python -m tests.chaos.scenarios --page docs/reports/chaos.md         all of them, on every edge

Ends with 1 where anything is not as it is declared. What this machine cannot do is named, and is no failure.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from nexus_gateway import native
from nexus_gateway.settings import EDGES

from . import namespaces
from .chaos_page import page
from .drill import Seen, broken, drill
from .scenario import DECLARED, Scenario, scenarios
from .stack import FIRST_BYTE_SECONDS, stack

_PATIENCE = 90.0
_NEEDED = ("redis-server", "prometheus")


@dataclass(frozen=True)
class Run:
    edge: str
    name: str
    seen: Seen
    broken: list[str]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.scenarios", description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], metavar="SCENARIO", help="these; else all")
    parser.add_argument("--edges", nargs="+", choices=EDGES, default=list(EDGES), help="these; else all")
    parser.add_argument("--declared", type=Path, default=DECLARED, help="the scenarios")
    parser.add_argument(
        "--patience", type=float, default=_PATIENCE, help="seconds until what is not seen will not come"
    )
    parser.add_argument(
        "--first-byte", type=float, default=FIRST_BYTE_SECONDS, help="an engine's deadline; longer where nobody hangs"
    )
    parser.add_argument("--page", type=Path, help="where to write what was seen; takes every scenario")
    parser.add_argument("--json", action="store_true", help="tell what was seen as JSON")
    said = parser.parse_args()
    declared = scenarios(said.declared)
    if unknown := set(said.only) - declared.keys():
        parser.error(f"{unknown.pop()} is no scenario: take one of {', '.join(declared)}")
    if said.page and (said.only or set(said.edges) != set(EDGES) or said.first_byte != FIRST_BYTE_SECONDS):
        parser.error("--page tells of every scenario on every edge: leave --only, --edges and --first-byte out")
    if "native" in said.edges and not native.is_built():
        parser.error("nexus-native is not built, `make setup-dev` says why: --edges wire asgi does without")
    if missing := [name for name in _NEEDED if shutil.which(name) is None]:
        parser.error(f"{missing[0]} is not here: run `make services`")
    reason = "" if namespaces.inside() else namespaces.why_not()
    if not namespaces.inside() and not reason:
        namespaces.enter("tests.chaos.scenarios")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started here ends too
    wanted = {name: one for name, one in declared.items() if not said.only or name in said.only}
    left_out = {name: reason for name, one in wanted.items() if one.needs and reason}
    those = without(wanted, left_out)
    ran = [run for edge in said.edges for run in runs(edge, those, said.patience, said.first_byte)]
    if said.page:
        said.page.write_text(page(ran, declared, left_out), encoding="utf-8")
    if said.json:
        sys.stdout.write(json.dumps([asdict(run) for run in ran]) + "\n")
    for name, why in left_out.items():
        sys.stderr.write(f"{name}: not run here: {why}\n")
    return 1 if any(run.broken for run in ran) else 0


def runs(edge: str, wanted: Mapping[str, Scenario], patience: float, first_byte: float) -> list[Run]:
    """One after the other, on one stack; those with a decision log on one of their own."""
    return [
        run
        for decisions in (False, True)
        if (those := {name: one for name, one in wanted.items() if one.decisions is decisions})
        for run in _on_one_stack(edge, those, patience, first_byte, decisions=decisions)
    ]


def _on_one_stack(
    edge: str, wanted: Mapping[str, Scenario], patience: float, first_byte: float, *, decisions: bool
) -> list[Run]:
    found = []
    with (
        tempfile.TemporaryDirectory(prefix="nexus-chaos-") as folder,
        stack(Path(folder), edge, own_disk=namespaces.inside(), decisions=decisions, first_byte=first_byte) as struck,
    ):
        for name, scenario in wanted.items():
            began = time.monotonic()
            seen = drill(struck, scenario, patience)
            found.append(Run(edge, name, seen, broken(scenario, seen)))
            _tell(found[-1], time.monotonic() - began)
    return found


def without(wanted: Mapping[str, Scenario], left_out: Mapping[str, str]) -> dict[str, Scenario]:
    return {name: one for name, one in wanted.items() if name not in left_out}


def _tell(run: Run, seconds: float) -> None:
    sys.stderr.write(f"{run.edge}, {run.name}: {'; '.join(run.broken) or 'as expected'} ({seconds:.0f} s)\n")


if __name__ == "__main__":
    sys.exit(main())
