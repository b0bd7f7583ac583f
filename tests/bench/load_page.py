"""What `make load` has found, as Markdown."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .page import machine
from .thresholds import Found

if TYPE_CHECKING:
    from .scenario_load import Ran
    from .scenarios import Phase

_GIVEN = "The gateway was running; what it serves is its own to say."
_STARTED = """\
The gateway was started for it, in one process before one worker whose engine computes nothing: the figures are those of
the gateway and of this machine, not of a model."""
_HEAD = """\
| phase | requests a second | requests | answered | refused | dropped | failed | first | whole | thresholds |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def page(ran: Sequence[Ran], *, given: bool) -> str:
    return (Path(__file__).parent / "load.md").read_text(encoding="utf-8").format(
        date=datetime.datetime.now(datetime.UTC).date(),
        machine=machine(),
        load=_other_work(os.getloadavg()[0], os.cpu_count() or 1),
        served=_GIVEN if given else _STARTED,
        scenarios="\n".join(_section(one) for one in ran),
    )  # fmt: skip


def _other_work(average: float, cores: int) -> str:
    besides = ".\nThe machine did much other work meanwhile, which is in every time below"
    return f"{average:.0f}{besides if average > 2 * cores else ''}"


def _section(ran: Ran) -> str:
    rows = [_row(phase, found) for phase, found in zip(ran.scenario.phases, ran.phases, strict=True)]
    said = f"{ran.scenario.about} The generator took {ran.own_share:.0%} of a core."
    return f"## {ran.name}\n\n{said}\n\n{_HEAD}{''.join(rows)}"


def _row(phase: Phase, found: Found) -> str:
    rate = f"{phase.start:g}" if phase.start == phase.end else f"{phase.start:g} to {phase.end:g}"
    failed = ", ".join(f"{error}: {count}" for error, count in found.failed.items()) or "0"
    cells = (
        found.phase, rate, found.requests, found.answered, found.refused, found.dropped, failed,
        _times(found.first_ms, phase.thresholds.first_ms), _times(found.whole_ms, phase.thresholds.whole_ms),
        "; ".join(found.broken) or "held",
    )  # fmt: skip
    return f"| {' | '.join(str(cell) for cell in cells)} |\n"


def _times(found: dict[str, float], most: dict[str, float]) -> str:
    return ", ".join(
        f"{name} {value:.0f}" + (f" (at most {most[name]:g})" if name in most else "") for name, value in found.items()
    )
