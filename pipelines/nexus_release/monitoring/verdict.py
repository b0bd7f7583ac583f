"""What a history of windows means: whether traffic has drifted, and whether that asks for a release now.

Values in, values out. Time is that of the windows, so that a history which is told again is judged again the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from nexus_release.monitoring.policy import Budget, DriftPolicy
from nexus_release.monitoring.traffic import Level

Action = Literal["none", "sent", "wait", "refuse", "send"]


@dataclass(frozen=True)
class Seen:
    """A window that was reported."""

    report: str
    since: datetime
    until: datetime
    level: Level


@dataclass(frozen=True)
class Sent:
    """An event that was sent."""

    report: str
    at: datetime
    """When the last window ended that was known then."""


@dataclass(frozen=True)
class Verdict:
    action: Action
    """`sent`: this drift has its event. `wait`: the cool-down goes on. `refuse`: the budget is used up."""
    report: str | None
    """The one that declared the drift which goes on; None where there is none."""
    reason: str
    at: datetime
    """When the last window ended that is known."""


def judge(seen: Sequence[Seen], sent: Sequence[Sent], gpu_hours: float, policy: DriftPolicy) -> Verdict:
    """`seen`: windows of one release, at least one, in their order. `sent`: events of the model, of any release."""
    declared, now = declaring(seen, policy.windows), seen[-1].until
    if declared is None:
        return Verdict("none", None, f"not {policy.windows} windows above the upper bounds one after the other", now)
    if any(one.report == declared.report for one in sent):
        return Verdict("sent", declared.report, "this drift has asked for a release already", now)
    cooled = max((one.at + timedelta(hours=policy.cooldown_hours) for one in sent), default=now)
    if now < cooled:
        return Verdict("wait", declared.report, f"the cool-down lasts until {cooled:%Y-%m-%d %H:%M} UTC", now)
    if refusal := _over(policy.budget, [one.at for one in sent], gpu_hours, now):
        return Verdict("refuse", declared.report, refusal, now)
    since = f"{declared.until:%Y-%m-%d %H:%M} UTC"
    return Verdict("send", declared.report, f"drift is declared by the window that ended {since}", now)


def declaring(seen: Sequence[Seen], windows: int) -> Seen | None:
    """The window that declared the drift which goes on: the last of `windows` above the upper bound, one right after
    the other. It goes on until a window is below the lower bound. Windows of which nothing is known change nothing."""
    declared: Seen | None = None
    streak, end = 0, None
    for one in seen:
        if one.since != end:
            streak = 0
        end = one.until
        if one.level == "above":
            streak += 1
            if streak >= windows and declared is None:
                declared = one
        elif one.level != "unknown":
            streak = 0
            if one.level == "below":
                declared = None
    return declared


def _over(budget: Budget, sent: Sequence[datetime], gpu_hours: float, now: datetime) -> str:
    """Which part of the budget is used up; empty where none is."""
    counted = sum(at > now - timedelta(days=budget.days) for at in sent)
    if counted >= budget.releases:
        return f"drift has asked for {counted} releases in {budget.days} days, {budget.releases} are allowed"
    if gpu_hours >= budget.gpu_hours:
        return f"{gpu_hours:.1f} GPU-hours are spent in {budget.days} days, {budget.gpu_hours:g} are allowed"
    return ""
