"""The report as Markdown."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..page import machine
from .cases import COMPARED, Plan
from .ends import EVENTS
from .gateways import KNOWN, NGINX
from .goals import Judged, judged
from .measured import Measured, Spread
from .rounds import Outcome

_CROWDED = """
The machine did other work meanwhile: read the ratios alone, and only as far as their brackets."""
_RESTING = 0.7
"""Load average before the first run, above which something else is at work."""


@dataclass(frozen=True)
class Setting:
    """Where and how the rounds were run."""

    plan: Plan
    versions: Mapping[str, str]
    ends_core: int
    gateway_core: int
    load_before: float
    load_after: float
    minutes: float


def page(outcome: Outcome, setting: Setting) -> str:
    measured = Measured(outcome.cells)
    ran = [name for name in setting.versions if name not in outcome.left_out]
    return (Path(__file__).parent / "page.md").read_text(encoding="utf-8").format(
        date=datetime.datetime.now(datetime.UTC).date(),
        machine=machine(),
        before=f"{setting.load_before:.1f}",
        after=f"{setting.load_after:.1f}",
        minutes=f"{setting.minutes:.0f}",
        crowded=_CROWDED if setting.load_before > _RESTING else "",
        rounds=setting.plan.rounds,
        slow_rounds=setting.plan.slow_rounds,
        seconds=setting.plan.seconds,
        slow_seconds=setting.plan.slow_seconds,
        ends_core=setting.ends_core,
        gateway_core=setting.gateway_core,
        events=EVENTS,
        versions="\n".join(f"| {_told(name)} | {setting.versions[name]} | {KNOWN[name].on} |" for name in ran),
        left_out=left_out(outcome.left_out),
        goals="\n".join(map(goal_row, judged(measured))),
        cases=" | ".join(f"{case.name} | x" for case in COMPARED),
        rules=" | ".join("--- | ---" for _ in COMPARED),
        costs="\n".join(f"| {name} | {' | '.join(_costs(name, measured))} |" for name in ran),
        others="\n".join(f"| {name} | {' | '.join(_others(name, measured))} |" for name in ran),
        errors="\n".join(_errors(measured)) or "No request failed, and no event was kept.",
    )  # fmt: skip


def left_out(reasons: Mapping[str, str]) -> str:
    if not reasons:
        return "None was left out."
    return "\n".join(["Left out:", "", *(f"- {name}: {' '.join(why.split())}" for name, why in reasons.items())])


def goal_row(one: Judged) -> str:
    sign = "≥" if one.more_is_better else "≤"
    bounds = f"{sign} {one.bounds.must:g} | {sign} {one.bounds.goal:g}"
    return f"| {one.what} | {bounds} | {_spread(one.found)} | {one.verdict} |"


def _told(name: str) -> str:
    return f"{name} (slow)" if KNOWN[name].slow else name


def _costs(name: str, measured: Measured) -> Iterator[str]:
    for case in COMPARED:
        yield _spread(measured.cost(name, case))
        yield _spread(measured.times(name, NGINX, case))


def _others(name: str, measured: Measured) -> Iterator[str]:
    yield _spread(measured.added(name, 50))
    yield _spread(measured.added(name, 99))
    idle = measured.idle_memory(name)
    yield f"{idle.middle:.0f}" if idle else "-"
    yield _spread(measured.stream_memory(name))
    yield _spread(measured.times_pooled(name))


def _errors(measured: Measured) -> Iterator[str]:
    for (gateway, case), errors in measured.errors().items():
        yield f"- {gateway}, {case}: {errors} requests failed; its rounds with errors are not counted."
    for (gateway, case), stalls in measured.stalls().items():
        yield f"- {gateway}, {case}: {stalls} events were kept for more than 3 s, and others sent meanwhile."


def _spread(found: Spread | None) -> str:
    """Two digits or three, whatever the size."""
    return f"{_number(found.middle)} ({_number(found.least)} to {_number(found.most)})" if found else "-"


def _number(value: float) -> str:
    size = abs(value)
    if size < 0.1:
        return f"{value:.2g}"
    return f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
