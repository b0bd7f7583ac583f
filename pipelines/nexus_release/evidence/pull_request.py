"""The text of a pull request: what the change does, and the evidence that it may. The same change has the same text.

What nothing has measured is said to be so; no figure is estimated here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from nexus_release.capacity.planner import Placement
from nexus_release.config import Gates
from nexus_release.evidence.figures import interval_of, name_of
from nexus_release.evidence.markdown import markdown_text
from nexus_release.evidence.page import Block, Changes, Facts, Figures, Heading, Page, Table, Text
from nexus_release.prices import money_text
from nexus_release.promotion.impact import Impact, Running, Side
from nexus_release.promotion.rejudged import quality_figures
from nexus_release.record import Content, record_path, release_id

LONGEST = 60_000
"""Characters of a text; GitHub takes 65,536."""
_GIB = 1 << 30
_CUT = "\n\n*The rest is left out: the forge takes no longer text.*\n"


@dataclass(frozen=True)
class Asked:
    """All that the text follows from."""

    message: str
    model: str
    environment: str
    release: Content
    """What the change is about."""
    stable: Content | None
    """What is stable before it; None for a model's first release."""
    gates: Gates
    """Of the environment."""
    passed: str
    """Where it has been stable before, in words."""
    impact: Impact
    canary_evidence: tuple[str, ...]
    """Paths in Git of what was measured of this release under traffic."""
    diff: str
    """Of the rendered tree."""


def pull_request_text(asked: Asked, simulated: str = "") -> str:
    """Markdown. `simulated`: the report of `nexus-gateway simulate`, Markdown too."""
    text = markdown_text(pull_request_page(asked))
    if simulated:
        text += f"\n### Recorded requests decided again\n\n{simulated.strip()}\n"
    return text if len(text) <= LONGEST else text[: LONGEST - len(_CUT)] + _CUT


def pull_request_page(asked: Asked) -> Page:
    return Page(
        title=asked.message,
        blocks=(
            *_what(asked),
            *_traffic(asked.impact),
            *_quality(asked),
            *_latency_and_memory(asked),
            *_cost(asked.impact),
            *_concerned(asked),
            *_approvals(asked.impact),
            Heading("The rendered tree"),
            Changes(asked.diff) if asked.diff else Text("Nothing changes in it."),
        ),
    )


def _what(asked: Asked) -> tuple[Block, ...]:
    release = release_id(asked.release)
    return (
        Facts(
            (
                ("model", asked.model),
                ("environment", asked.environment),
                ("release", release),
                ("record", record_path(asked.model, release)),
                ("passed before", asked.passed),
            )
        ),
        Text("make check-pr proves what is claimed here from the branch itself."),
    )


def _traffic(impact: Impact) -> tuple[Block, ...]:
    old, new = _by_release(impact.before), _by_release(impact.after)
    rows = tuple(
        (release[:12], *_shown(old.get(release)), *_shown(new.get(release)))
        for release in sorted(old.keys() | new.keys())
    )
    return (
        Heading(f"Traffic: {impact.moved} % moves"),
        Table(("release", "was", "had", "becomes", "has"), rows),
    )


def _by_release(side: Side) -> Mapping[str, Running]:
    return {one.release: one for one in side.running}


def _shown(one: Running | None) -> tuple[str, str]:
    return (one.role, f"{one.percent} %") if one else ("not there", "")


def _quality(asked: Asked) -> tuple[Block, ...]:
    figures, quality = quality_figures(asked.release, asked.gates), asked.release.gate("quality")
    evaluation = asked.release.evaluation
    caption = (
        f"Against its own base, by {evaluation.engine} on {evaluation.rows:,} held-out rows; intervals at "
        f"{quality.settings.get('confidence', 'an unknown')} confidence, their bad ends held against the bounds of "
        f"{asked.environment}."
    )
    return (Heading("Quality"), Figures(figures, caption), *_beside_stable(asked))


def _beside_stable(asked: Asked) -> Iterator[Block]:
    if asked.stable is None or asked.stable == asked.release:
        return
    mine, theirs = (
        {name_of(one): one for one in content.gate("quality").figures} for content in (asked.release, asked.stable)
    )
    rows = tuple((name, interval_of(theirs[name]), interval_of(mine[name])) for name in mine if name in theirs)
    yield Table(("against its own base", f"stable now ({release_id(asked.stable)[:12]})", "this release"), rows)
    if asked.stable.evaluation.suite != asked.release.evaluation.suite:
        yield Text("They were asked different questions: read each column by itself.")


def _latency_and_memory(asked: Asked) -> tuple[Block, ...]:
    latency = ", ".join(asked.canary_evidence) or "not measured: no canary of it has been analysed in this environment"
    rows = [("latency", latency)]
    gpu = asked.impact.after.gpu
    for one in asked.impact.after.running:
        for group in one.groups:
            half = "" if group.role == "engine" else f", {group.role}"
            rows.append((f"memory of {one.role} {one.release[:12]}{half}", _memory(group.placement, gpu)))
    return Heading("Latency and memory"), Facts(tuple(rows)), Text("Memory is planned, not measured.")


def _memory(placement: Placement, gpu: str | None) -> str:
    devices = f"{placement.tensor_parallel} x {gpu}" if gpu else "the pod"
    return (
        f"{placement.needed / _GIB:.2f} of {placement.available / _GIB:.2f} GiB on each of {devices}, "
        f"{placement.context_tokens:,} tokens of context"
    )


def _cost(impact: Impact) -> tuple[Block, ...]:
    old, new = impact.before, impact.after
    pods = (old.pods, new.pods)
    rows = (
        ("pods at most", *map(str, pods), _signed(pods[1] - pods[0])),
        ("GPUs at most", _gpus(old), _gpus(new), _signed(new.gpus - old.gpus)),
        ("an hour, this model", *_prices(old.hour, new.hour, new.currency)),
        ("an hour, the environment", *_prices(old.environment_hour, new.environment_hour, new.currency)),
    )
    return (
        Heading("GPUs and cost"),
        Table(("", "before", "after", "change"), rows),
        Text("By the prices of the environment's settings, with every pod running."),
    )


def _gpus(side: Side) -> str:
    return f"{side.gpus} x {side.gpu}" if side.gpu else "none: the CPU"


def _signed(change: int) -> str:
    return f"{change:+d}" if change else "none"


def _prices(before: Decimal, after: Decimal, currency: str) -> tuple[str, str, str]:
    old, new, change = (money_text(amount, currency) for amount in (before, after, after - before))
    return old, new, f"+{change}" if after > before else change if after < before else "none"


def _concerned(asked: Asked) -> tuple[Block, ...]:
    callers = asked.impact.callers
    if callers is None:
        who = "whoever has a key of this environment: it has no policies"
    else:
        named = f"{len(callers.named)} named: {', '.join(callers.named)}" if callers.named else "none is named"
        who = f"{named}; {callers.others} more may ask for any model"
    return (
        Heading("Blast radius"),
        Facts((("models", asked.model), ("callers", who), ("policies touched", "none"))),
    )


def _approvals(impact: Impact) -> tuple[Block, ...]:
    rows = tuple((str(people), why) for people, why in impact.needs)
    return Heading(f"Approvals needed: {impact.approvals}"), Table(("people", "because"), rows)
