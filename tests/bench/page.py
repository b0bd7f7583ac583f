"""The report as Markdown."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .figures import Ratio
from .gpu_use import NO_GPU, gpu_names

if TYPE_CHECKING:
    from .engines import Measured, Plan

_GIVEN = "The engines were running; what they serve is theirs to say."
_STARTED = """\
All but `mock` serve one checkpoint, made by the release's own steps: a Qwen2 of half a million parameters, W4A16.
`mock` computes nothing: it is told 20 ms to the first token and 100 tokens a second, so its rows show how true the
clock is."""
_AS_LONG_AS_THEY_ARE = "\nAn answer ended where its model ended it: engines wrote different numbers of tokens."


def page(found: Sequence[Measured], plan: Plan, *, given: bool) -> str:
    baseline = plan.baseline or found[0].engine
    versions = {row.engine: row.version for row in found}
    return (Path(__file__).parent / "engines.md").read_text(encoding="utf-8").format(
        date=datetime.datetime.now(datetime.UTC).date(),
        machine=machine(),
        load=_load(os.getloadavg()[0], os.cpu_count() or 1),
        seed=plan.seed,
        rounds=plan.rounds,
        requests=plan.requests,
        served=(_GIVEN if given else _STARTED) + ("" if plan.ignore_eos else _AS_LONG_AS_THEY_ARE),
        versions="\n".join(f"| `{name}` | {version} |" for name, version in versions.items()),
        baseline=baseline,
        ratios="\n".join(_ratio_row(row) for row in found if row.engine != baseline) or "|" * 6,
        rows="\n".join(_row(row) for row in found),
    )  # fmt: skip


def _load(average: float, cores: int) -> str:
    besides = (
        ".\nThe machine did other work beside the engines: read the ratios alone, and only as far as their brackets"
    )
    return f"{average:.0f}{besides if average > 2 * cores else ''}"


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    names = [line.partition(":")[2].strip() for line in _cpu_info() if line.startswith("model name")]
    gpus = ", ".join(gpu_names()) or NO_GPU
    return f"{os.cpu_count()} cores of {names[0] if names else platform.machine()}, {memory} GiB of memory, {gpus}"


def _cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _ratio_row(row: Measured) -> str:
    cells = " | ".join(_ratio(ratio) for ratio in row.ratios.values())
    return f"| {row.batch} | {row.case} | `{row.engine}` | {cells} |"


def _ratio(ratio: Ratio | None) -> str:
    return f"{ratio.middle:.2f} ({ratio.least:.2f} to {ratio.most:.2f})" if ratio else "-"


def _row(row: Measured) -> str:
    found = row.figures
    measured = (found.first, found.gap, found.pace, found.whole)
    times = (" / ".join(f"{value:.1f}" for value in one) or "-" for one in measured)
    errors = ", ".join(f"{count} {what}" for what, count in found.errors.items()) or "0"
    rates = f"{found.requests_per_second:.1f} | {found.tokens_per_second:.0f}"
    return (
        f"| {row.batch} | {row.case} | `{row.engine}` | {rates} | {' | '.join(times)} | {errors} | {row.gpu} |"
        f" {found.own_share:.0%} |"
    )
