"""The gateways' turns: every case in every round, each gateway in each, none always the first."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from nexus_release.errors import NexusError

from .cases import ALL, IDLE, LATENCY, SLOW, Plan
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
            try:
                served = running.enter_context(serving(gateway, ends, folder / gateway.name, core))
                quiet(served, ends)
                idle = served.run(ends, IDLE, warm=0.0, measured=0.05)
            except NexusError as error:
                left_out[gateway.name] = str(error)
                continue
            up.append(served)
            cells.append(Cell(gateway.name, IDLE.name, 0, idle))
        for number in range(plan.rounds):
            for case in cases:
                cells += _turns(_of_round(up, case, number, plan), case, number, plan, ends)
                sys.stderr.write(f"round {number + 1} of {plan.rounds}, {case.name}\n")
    return Outcome(tuple(cells), left_out)


def cases_of(gateway: Gateway) -> tuple[Case, ...]:
    return SLOW if gateway.slow else ALL


def _of_round(up: Sequence[Serving], case: Case, number: int, plan: Plan) -> list[Serving]:
    """In another order each time."""
    mine = [
        served
        for served in up
        if case in cases_of(served.gateway) and (number < plan.slow_rounds or not served.gateway.slow)
    ]
    turn = number % len(mine) if mine else 0
    return [*mine[turn:], *mine[:turn]]


def _turns(up: Sequence[Serving], case: Case, number: int, plan: Plan, ends: BothEnds) -> Iterator[Cell]:
    if case == LATENCY:
        direct = ends.run(ends.port, case, (), warm=plan.warm_seconds, measured=plan.measured_seconds)
        yield Cell(DIRECT, case.name, number, direct)
    for served in up:
        run = served.run(ends, case, warm=plan.warm_seconds, measured=plan.measured_seconds)
        quiet(served, ends)
        yield Cell(served.gateway.name, case.name, number, run)
