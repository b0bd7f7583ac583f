"""Whether a release is due: hysteresis, cool-down and budget, for any history of windows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_release.monitoring.policy import Budget, DriftPolicy, Hysteresis
from nexus_release.monitoring.traffic import Level
from nexus_release.monitoring.verdict import Seen, Sent, declaring, judge

from ..support.traffic import DAY, START

LEVELS: dict[str, Level] = {"A": "above", "m": "between", "b": "below", "?": "unknown"}
HISTORIES = st.text(alphabet="AAAmb?", min_size=1, max_size=60)
POLICY = DriftPolicy(windows=3, cooldown_hours=7 * 24, budget=Budget(days=30, releases=2, gpu_hours=10))


def windows(levels: str, first: int = 0) -> list[Seen]:
    """A day each, one right after the other."""
    return [
        Seen(f"sha256:{first + n:064x}", START + DAY * n, START + DAY * (n + 1), LEVELS[level])
        for n, level in enumerate(levels)
    ]


def live(seen: Sequence[Seen], policy: DriftPolicy) -> list[Sent]:
    """Every window judged as it comes, and every event that is due sent."""
    sent: list[Sent] = []
    for count in range(1, len(seen) + 1):
        verdict = judge(seen[:count], sent, 0.0, policy)
        if verdict.action == "send":
            assert verdict.report is not None
            sent.append(Sent(verdict.report, verdict.at))
    return sent


@pytest.mark.parametrize(
    ("levels", "declared"),
    [
        ("AA", None),
        ("AAA", 2),
        ("AAAA", 2),
        ("AAmA", None),
        ("AAbA", None),
        ("AAAmmm", 2),  # between the bounds it goes on
        ("AAAmb", None),  # below the lower it ends
        ("AAAbAAA", 6),
        ("AA?A", 3),  # a quiet night says nothing
        ("???", None),
    ],
)
def test_drift_is_declared_after_so_many_windows_and_ends_below_the_lower_bound(
    levels: str, declared: int | None
) -> None:
    seen = windows(levels)
    assert declaring(seen, 3) == (None if declared is None else seen[declared])


def test_windows_with_a_hole_between_them_are_not_one_after_the_other() -> None:
    seen = windows("AAAA")
    assert declaring([*seen[:2], seen[3]], 3) is None


@given(HISTORIES)
def test_each_drift_has_one_event_at_most(levels: str) -> None:
    sent = live(windows(levels), POLICY)
    assert len({one.report for one in sent}) == len(sent)


@given(HISTORIES)
def test_no_two_events_are_nearer_than_the_cool_down(levels: str) -> None:
    sent = live(windows(levels), POLICY)
    for earlier, later in pairwise(sent):
        assert later.at - earlier.at >= timedelta(hours=POLICY.cooldown_hours)


@given(HISTORIES)
def test_no_budget_is_overdrawn(levels: str) -> None:
    sent = live(windows(levels), POLICY)
    for one in sent:
        assert sum(one.at - timedelta(days=30) < other.at <= one.at for other in sent) <= POLICY.budget.releases


@given(HISTORIES)
def test_an_event_stands_only_on_windows_above_the_bound(levels: str) -> None:
    seen = windows(levels)
    place = {one.report: number for number, one in enumerate(seen)}
    for one in live(seen, POLICY):
        known = [level for level in levels[: place[one.report] + 1] if level != "?"]
        assert known[-3:] == ["A", "A", "A"]


@given(HISTORIES)
def test_a_history_told_again_is_judged_again_the_same_way(levels: str) -> None:
    seen, sent = windows(levels), live(windows(levels), POLICY)
    assert judge(seen, sent, 1.0, POLICY) == judge([*seen], [*reversed(sent)], 1.0, POLICY)


@given(HISTORIES)
def test_what_never_leaves_the_middle_never_rings(levels: str) -> None:
    assert live(windows(levels.replace("A", "m")), POLICY) == []


def test_a_drift_that_begins_in_the_cool_down_is_told_when_it_is_over_and_still_goes_on() -> None:
    seen = windows("AAAbAAAmmmm")
    sent = live(seen, POLICY)
    assert [(one.report, one.at) for one in sent] == [
        (seen[2].report, seen[2].until),
        (seen[6].report, seen[2].until + timedelta(days=7)),
    ]
    assert len(live(windows("AAAbAAAbmm"), POLICY)) == 1  # it was over before


def test_what_the_budget_refuses_is_said_and_is_due_again_when_there_is_room() -> None:
    seen = windows("AAA")
    early = [Sent(f"sha256:{n:064x}", START - timedelta(days=days)) for n, days in ((91, 20), (92, 26))]
    refused = judge(seen, early, 0.0, POLICY)
    assert (refused.action, refused.report) == ("refuse", seen[2].report)
    assert refused.reason == "drift has asked for 2 releases in 30 days, 2 are allowed"
    assert judge(seen, early[:1], 0.0, POLICY).action == "send"
    spent = judge(seen, [], 10.0, POLICY)
    assert (spent.action, spent.reason) == ("refuse", "10.0 GPU-hours are spent in 30 days, 10 are allowed")
    none = POLICY.model_copy(update={"budget": Budget(releases=0)})
    assert judge(seen, [], 0.0, none).action == "refuse"


def test_a_lower_bound_above_the_upper_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lower 0\.3 is above upper 0\.2"):
        Hysteresis(upper=0.2, lower=0.3)
