"""What `make chaos` has seen, as Markdown."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..bench.page import machine
from .drill import BUSY
from .stack import FIRST_BYTE_SECONDS, RESET_SECONDS, SHORTER

if TYPE_CHECKING:
    from .scenario import Client, Scenario
    from .scenarios import Run

RUNBOOK = "../reference/runbook.md"


def page(ran: Sequence[Run], declared: Mapping[str, Scenario], left_out: Mapping[str, str]) -> str:
    return (Path(__file__).parent / "chaos.md").read_text(encoding="utf-8").format(
        date=datetime.datetime.now(datetime.UTC).date(),
        machine=machine(),
        edges=", ".join(f"`{edge}`" for edge in dict.fromkeys(run.edge for run in ran)),
        load=f"{os.getloadavg()[0]:.0f}",
        left_out="".join(f"\n`{name}` was not run here: {why}.\n" for name, why in left_out.items()),
        first_byte=FIRST_BYTE_SECONDS,
        reset=RESET_SECONDS,
        shorter=SHORTER,
        scenarios="\n".join(_section(name, declared[name], ran) for name in declared if name not in left_out).rstrip(),
    )  # fmt: skip


def _section(name: str, scenario: Scenario, ran: Sequence[Run]) -> str:
    own = [run for run in ran if run.name == name]
    return "\n".join((
        f"## {name}", "", scenario.fault, "",
        f"| expected | {' | '.join(run.edge for run in own)} |",
        f"| --- |{' --- |' * len(own)}",
        *(_clients(caller, scenario.of(caller), own) for caller in scenario.client),
        *(f"| `{query}` | {_when(query, [run.seen.metrics for run in own])} |" for query in scenario.metrics),
        *(f"| {_linked(alert)} | {_when(alert, [run.seen.alerts for run in own])} |" for alert in scenario.alerts),
        *([] if scenario.alerts else [f"| no alert | {_cells('; '.join(_rang(run)) or 'none rang' for run in own)} |"]),
        f"| all as before | {_cells(_at(run.seen.calm) for run in own)} |",
        f"| **as expected** | {_cells('; '.join(run.broken) or 'yes' for run in own)} |",
        "",
    ))  # fmt: skip


def _clients(caller: str, wanted: Client, own: Sequence[Run]) -> str:
    said = " and ".join(wanted.answers) + (f"; also {', '.join(wanted.also)}" if wanted.also else "")
    least = f", after {wanted.at_least_seconds:g} s at least" if wanted.at_least_seconds else ""
    cells = [f"{_counted(run.seen.answers[caller])}; {run.seen.slowest[caller]:.1f} s at most" for run in own]
    return f"| *{caller}* gets {said}{least}, within {wanted.within_seconds:g} s | {_cells(cells)} |"


def _counted(answers: Mapping[str, int]) -> str:
    return ", ".join(f"{count} × {answer}" for answer, count in sorted(answers.items()))


def _rang(run: Run) -> list[str]:
    return sorted(run.seen.alerts.keys() - BUSY)


def _linked(alert: str) -> str:
    return f"[{alert}]({RUNBOOK}#{alert.lower()}) rings"


def _when(what: str, seen: Sequence[Mapping[str, float]]) -> str:
    return _cells(_at(one.get(what)) for one in seen)


def _at(seconds: float | None) -> str:
    return "never" if seconds is None else f"after {seconds:.0f} s"


def _cells(texts: Iterable[str]) -> str:
    return " | ".join(texts)
