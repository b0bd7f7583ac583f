"""The report as Markdown."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from nexus_gateway.prefix_routing.width import MOST_GROUPS

from ...bench.page import machine
from .grid import ORACLE, OURS, STRATEGIES, Cell, Changed, Figures, Size
from .real.measured import read
from .real.table import BEGIN, END, section
from .workloads import FITTED, LOADS, by_name, saturation

POINTS, TIMES, NOISE = 0.02, 10.0, 1.05


def page(
    found: Mapping[Cell, Figures],
    size: Size,
    changes: Mapping[tuple[str, str], Changed],
    lateness: Mapping[tuple[str, float], tuple[float, float]],
    cost: Mapping[str, list[float]],
) -> str:
    return (Path(__file__).parent / "page.md").read_text(encoding="utf-8").format(
        date=datetime.datetime.now(datetime.UTC).date(),
        machine=machine(),
        questions=size.questions,
        seeds=", ".join(map(str, size.seeds)),
        first_seed=size.seeds[0],
        fitted=", ".join(map(str, FITTED)),
        loads=" / ".join(f"`{load}`" for load in size.loads),
        gateways=" / ".join(map(str, size.gateways)),
        most_gateways=size.gateways[-1],
        groups=MOST_GROUPS,
        hits="![Hit ratio at saturation, by the number of gateways](pictures/routing-hits.svg)",
        first_token="![TTFT p99 at saturation, by the number of gateways](pictures/routing-first-token.svg)",
        workloads="\n".join(_workload_rows(size)),
        wanted="\n".join(_wanted_rows(found, size)),
        rows="\n".join(_rows(found, size)),
        changes="\n".join(_change_rows(changes)),
        late="\n".join(_late_rows(lateness)),
        real=f"{BEGIN}\n{section(read())}\n{END}",
        cost="\n".join(f"| {name} | {one[0]:.0f} | {one[1]:.0f} |" for name, one in cost.items()),
    )  # fmt: skip


def _workload_rows(size: Size) -> Iterator[str]:
    for one in by_name(size.workloads):
        rates = " / ".join(f"{LOADS[load] * saturation(one):.0f}" for load in size.loads)
        yield f"| {one.name} | {one.says} | {rates} | {one.patience:g} s |"


def _wanted_rows(found: Mapping[Cell, Figures], size: Size) -> Iterator[str]:
    for workload in size.workloads:
        for load in size.loads:
            for ours in OURS:
                behind, worst, better = zip(
                    *(_wanted(found, size, ours, workload, load, seed) for seed in size.seeds), strict=True
                )
                points = _spread([one * 100 for one in behind], "+.1f")
                yield (
                    f"| {workload} | {load} | {ours} | {points} {_said(max(behind) <= POINTS)} |"
                    f" {_spread(worst, '.2f')} {_said(max(worst) <= NOISE)} | {_spread(better, '.1f')} |"
                )


def _wanted(
    found: Mapping[Cell, Figures], size: Size, strategy: str, workload: str, load: str, seed: int
) -> tuple[float, float, float]:
    """At the worst number of gateways each: points behind the oracle, TTFT p99 to least load's, and how many times
    better p50 is."""
    known = found[Cell(workload, load, ORACLE, size.gateways[0], seed)]
    ours = [found[Cell(workload, load, strategy, n, seed)] for n in size.gateways_of(strategy, load)]
    least = [found[Cell(workload, load, "least load", n, seed)] for n in size.gateways_of("least load", load)]
    both = list(zip(ours, least, strict=True))
    return (
        max(known.hits - one.hits for one in ours),
        max(one.p99 / other.p99 for one, other in both),
        min(other.p50 / one.p50 for one, other in both),
    )


def _spread(values: Sequence[float], form: str) -> str:
    """The middle one, and the least and the most where they differ."""
    least, middle, most = (format(one, form) for one in (min(values), median(values), max(values)))
    return middle if least == most else f"{middle} ({least} to {most})"


def _said(reached: bool) -> str:
    return "" if reached else "**missed**"


def _rows(found: Mapping[Cell, Figures], size: Size) -> Iterator[str]:
    for workload in size.workloads:
        for load in size.loads:
            for strategy in (*STRATEGIES, ORACLE):
                many = size.gateways_of(strategy, load)
                ours = [found[Cell(workload, load, strategy, n, size.seeds[0])] for n in many]
                cells = (
                    " / ".join(f"{one.hits * 100:.1f}" for one in ours),
                    " / ".join(_seconds(one.p50) for one in ours),
                    " / ".join(_seconds(one.p99) for one in ours),
                    " / ".join(f"{one.goodput:.1f}" for one in ours),
                    " / ".join(f"{one.spread:.2f}" for one in ours),
                    f"{ours[0].remembered[0]:,} to {ours[0].remembered[1]:,}",
                )
                yield f"| {workload} | {load} | {strategy} | {' | '.join(cells)} |"


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _late_rows(lateness: Mapping[tuple[str, float], tuple[float, float]]) -> Iterator[str]:
    for (workload, share), (ratio, p99) in lateness.items():
        yield f"| {workload} | {share * 100:g} | {ratio * 100:.1f} | {_seconds(p99)} |"


def _change_rows(changes: Mapping[tuple[str, str], Changed]) -> Iterator[str]:
    for (workload, strategy), one in changes.items():
        ratios = " / ".join(f"{value * 100:.1f}" for value in one.hits)
        yield f"| {workload} | {strategy} | {ratios} | {' / '.join(_seconds(value) for value in one.p99)} |"
