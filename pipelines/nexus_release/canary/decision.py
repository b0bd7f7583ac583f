"""What the figures of a canary mean: on, back, or not yet. Values in, values out, so that it can be decided again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from pydantic import Field

from nexus_release.canary.policy import CanaryPolicy, Metric
from nexus_release.canary.sequential import log_evidence
from nexus_release.canary.tallies import MEASURES, Block, Measure
from nexus_release.frozen import Frozen
from nexus_release.monitoring.windows import moment

Action = Literal["advance", "promote", "revert", "hold"]


class Judged(Frozen):
    """One measure."""

    metric: Metric
    evidence: str
    """Decimal logarithm of the evidence that the canary is worse than allowed; -9.99 where it is less."""
    threshold: str
    """The same of what sends it back: the number of measures over alpha."""
    guilty: bool


class Decision(Frozen):
    action: Action
    weight: int = Field(ge=0, le=100)
    """What is right from now on; of a promotion the one before it."""
    reason: str


class Moments(Frozen):
    """Times in UTC, as `2026-11-01T00:00:00Z`."""

    began: str
    """When the canary first had a weight."""
    since: str
    """When it had this one."""
    until: str
    """What is known ends here."""


def judged(policy: CanaryPolicy, blocks: Sequence[Block]) -> tuple[Judged, ...]:
    """Every measure over all blocks of the canary, whatever its weight was in them."""
    return tuple(
        judgement(policy, metric, _evidence(policy, metric, measure, blocks), blocks)
        for metric, measure in MEASURES.items()
    )


def decide(
    policy: CanaryPolicy, weight: int, moments: Moments, earlier: Sequence[Block], blocks: Sequence[Block]
) -> tuple[tuple[Judged, ...], Decision]:
    """`blocks` are those of this weight, `earlier` those of the ones before it."""
    found = judged(policy, [*earlier, *blocks])
    return found, decided(policy, weight, moments, found, blocks)


def decided(
    policy: CanaryPolicy, weight: int, moments: Moments, found: Sequence[Judged], blocks: Sequence[Block]
) -> Decision:
    """What follows from the judged measures."""
    if weight == 0:
        return Decision(action="advance", weight=policy.steps[0], reason="it begins")
    if guilty := [one.metric for one in found if one.guilty]:
        return Decision(action="revert", weight=0, reason=f"worse than allowed: {', '.join(guilty)}")
    missing = _missing(policy, moments, blocks)
    following = policy.after(weight)
    if missing or following:
        late = moment(moments.until) - moment(moments.began) > timedelta(hours=policy.deadline_hours)
        if late:
            return Decision(action="revert", weight=0, reason=f"not at its end in {policy.deadline_hours:g} hours")
    if missing:
        return Decision(action="hold", weight=weight, reason=missing)
    if following:
        return Decision(action="advance", weight=following, reason=f"nothing worse than allowed at {weight} %")
    if policy.then == "promote":
        return Decision(
            action="promote", weight=weight, reason=f"nothing worse than allowed at {weight} %, the last step"
        )
    return Decision(action="hold", weight=weight, reason="at its last step, where it stays until a person decides")


def _missing(policy: CanaryPolicy, moments: Moments, blocks: Sequence[Block]) -> str:
    """What the step still wants; empty where nothing."""
    seconds = (moment(moments.until) - moment(moments.since)).total_seconds()
    requests = sum(block.canary.requests for block in blocks)
    if seconds < policy.step_seconds:
        return f"{seconds:.0f} of {policy.step_seconds} seconds at this weight"
    if requests < policy.step_requests:
        return f"{requests} of {policy.step_requests} requests of the canary at this weight"
    return ""


def judgement(policy: CanaryPolicy, metric: Metric, log_evidence: float, blocks: Sequence[Block]) -> Judged:
    threshold = math.log10(len(MEASURES) / policy.alpha)
    evidence = max(-9.99, log_evidence / math.log(10))
    guilty = evidence >= threshold and not (metric == "errors" and _few_errors(policy, blocks))
    return Judged(metric=metric, evidence=f"{evidence:.2f}", threshold=f"{threshold:.2f}", guilty=guilty)


def _evidence(policy: CanaryPolicy, metric: Metric, measure: Measure, blocks: Sequence[Block]) -> float:
    tables, odds = [measure.tables(block) for block in blocks], getattr(policy.allowed, metric)
    more = log_evidence(tables, odds, policy.session_requests)
    if not measure.both_ways:
        return more
    less = log_evidence([[table.turned for table in block] for block in tables], odds, policy.session_requests)
    return either(more, less)


def either(more: float, less: float) -> float:
    """Evidence for one of two, as logarithms."""
    most = max(more, less)
    return most + math.log((math.exp(more - most) + math.exp(less - most)) / 2)


def _few_errors(policy: CanaryPolicy, blocks: Sequence[Block]) -> bool:
    requests = sum(block.canary.requests for block in blocks)
    return sum(block.canary.errors for block in blocks) < policy.least_errors * requests
