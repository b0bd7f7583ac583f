"""The gateways' turns: every case in every round, each gateway in each, none always the first."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from nexus_release.errors import NexusError

from .cases import IDLE, LATENCY, SLOW, Plan
from .ends import BothEnds, Case, Run
from .gateways import Gateway
from .serving import Serving, quiet, serving

DIRECT = "direct"
"""The engine asked without a gateway."""


@dataclass(frozen=True)
class Cell:
    gateway: str
    case: str
    round: int
    run: Run


@dataclass(frozen=True)
class Outcome:
    cells: tuple[Cell, ...]
    left_out: Mapping[str, str]
    """Gateways that are not on this machine, or failed on it -> why."""


def compared(
    gateways: Sequence[Gateway], cases: Sequence[Case], plan: Plan, ends: BothEnds, folder: Path, core: int
) -> Outcome:
    """One that does not start, or breaks down under load, is told in `left_out`; the others go on."""
    left_out: dict[str, str] = {}
    cells: list[Cell] = []
    with ExitStack() as running:
        up: list[Serving] = []
        for gateway in gateways:
            with _left_out_if_it_fails(gateway.name, left_out):
                served = running.enter_context(serving(gateway, ends, folder / gateway.name, core))
                quiet(served, ends)
                cells.append(Cell(gateway.name, IDLE.name, 0, served.run(ends, IDLE, warm=0.0, measured=0.05)))
                up.append(served)
        for number in range(plan.rounds):
            for case in cases:
                if case == LATENCY:
                    direct = ends.run(ends.port, case, (), warm=plan.warm_seconds, measured=plan.seconds)
                    cells.append(Cell(DIRECT, case.name, number, direct))
                for served in _turns(up, case, number, plan):
                    if served.gateway.name in left_out:
                        continue
                    with _left_out_if_it_fails(served.gateway.name, left_out):
                        cells.append(Cell(served.gateway.name, case.name, number, _run(served, case, plan, ends)))
                sys.stderr.write(f"round {number + 1} of {plan.rounds}, {case.name}\n")
    return Outcome(tuple(cell for cell in cells if cell.gateway not in left_out), left_out)


@contextmanager
def _left_out_if_it_fails(name: str, left_out: dict[str, str]) -> Iterator[None]:
    try:
        yield
    except NexusError as error:
        left_out[name] = str(error)


def _turns(up: Sequence[Serving], case: Case, number: int, plan: Plan) -> list[Serving]:
    """Those that take part in this round, each time in another order."""
    slow = case in SLOW and number < plan.slow_rounds
    mine = [served for served in up if slow or not served.gateway.slow]
    turn = number % len(mine) if mine else 0
    return [*mine[turn:], *mine[:turn]]


def _run(served: Serving, case: Case, plan: Plan, ends: BothEnds) -> Run:
    seconds = plan.slow_seconds if served.gateway.slow else plan.seconds
    run = served.run(ends, case, warm=plan.warm_seconds, measured=seconds)
    quiet(served, ends)
    return run
