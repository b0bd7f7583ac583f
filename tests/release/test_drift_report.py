"""The drift report: what it is made of, and that the same lines give the same bytes."""

from __future__ import annotations

import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from nexus_release.errors import Missing
from nexus_release.monitoring.decisions import Decision, Log
from nexus_release.monitoring.policy import Hysteresis, Measuring
from nexus_release.monitoring.report import DriftReport, Subject, make_again, make_report, report_text
from nexus_release.monitoring.traffic import compare, level_of
from nexus_release.monitoring.windows import Window

from ..support.traffic import DAY, MODEL, START, at, day, line, write_log

RELEASE = "a" * 64
MEASURING = Measuring(min_records=100)
QUIET_DAYS = 200
"""Of a simulation with fixed seeds."""


def subject(first: float, last: float, reference: float = 7) -> Subject:
    return Subject(
        model=MODEL,
        environment="prod",
        release=RELEASE,
        window=Window(since=at(first), until=at(last)),
        reference=Window(since=at(0), until=at(reference)),
    )


def week() -> list[dict[str, Any]]:
    return [one for number in range(7) for one in day(number, RELEASE)]


def decision(document: dict[str, Any]) -> Decision:
    return Decision.model_validate(document)


def report(folder: Path, measuring: Measuring = MEASURING) -> DriftReport:
    return make_report(Log(folder), subject(7, 8), measuring)


def test_traffic_as_before_is_below_the_bounds(tmp_path: Path) -> None:
    found = report(write_log(tmp_path, [*week(), *day(7, RELEASE)]))
    assert found.level == "below"
    assert [one.feature for one in found.features] == [
        "prompt tokens", "answer tokens", "request bytes", "api", "stream", "ending",
    ]  # fmt: skip
    assert (found.now.records, found.then.records, found.now.sampled) == (300, 2100, 300)


CHANGES: dict[str, dict[str, Any]] = {
    "prompt tokens": {"prompt_tokens": 900},
    "answer tokens": {"completion_tokens": 5},
    "request bytes": {"request_bytes": 9000},
    "stream": {"stream": False},
    "ending": {"ending": "content_filter"},
}


@pytest.mark.parametrize("feature", [*CHANGES, "api"])
def test_each_feature_sees_what_it_is_there_for_and_no_other(tmp_path: Path, feature: str) -> None:
    moved = day(7, RELEASE)
    for one in moved[::2]:
        one["figures"] |= CHANGES.get(feature, {})
        one["path"] = "/v1/completions" if feature == "api" else one["path"]
    found = report(write_log(tmp_path, [*week(), *moved]))
    assert [one.feature for one in found.features if one.level == "above"] == [feature]
    assert found.level == "above"


def test_of_a_large_log_no_more_lines_are_held_than_are_looked_at(tmp_path: Path) -> None:
    lines = day(0, RELEASE, records=3000)
    size = len(json.dumps(lines[0]))
    window, log = Window(since=at(0), until=at(1)), Log(write_log(tmp_path, lines))
    tracemalloc.start()
    try:
        told = log.sample(MODEL, RELEASE, window, 20).told
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (told.records, told.sampled) == (3000, 20)
    assert peak < len(lines) * size / 2


def test_the_same_lines_are_the_same_bytes_in_any_files_and_any_order(tmp_path: Path) -> None:
    lines = [*week(), *day(7, RELEASE, longer=1.2)]
    first = report_text(report(write_log(tmp_path / "one", lines)))
    random.Random(1).shuffle(lines)
    for number, part in enumerate((lines[:700], lines[700:1500], lines[1500:])):
        write_log(tmp_path / "many", part, f"decisions-{number}")
    write_log(tmp_path / "many", lines[:400], "copied")
    (tmp_path / "many" / "torn.jsonl").write_text('{"kind": "decis')
    log = Log(tmp_path / "many")
    assert report_text(make_report(log, subject(7, 8), MEASURING)) == first
    assert log.unreadable == ["torn.jsonl:1"]
    assert report_text(make_again(log, DriftReport.model_validate_json(first))) == first


def test_a_sample_is_the_same_one_again_and_says_how_large_it_is(tmp_path: Path) -> None:
    lines = [*week(), *day(7, RELEASE)]
    few = Measuring(min_records=100, max_records=120)
    found = report(write_log(tmp_path / "one", lines), few)
    assert (found.now.records, found.now.sampled, found.then.sampled) == (300, 120, 120)
    assert report(write_log(tmp_path / "other", lines[::-1]), few) == found


def test_what_no_training_mends_and_what_others_answered_is_left_out(tmp_path: Path) -> None:
    lines = [*week(), *day(7, RELEASE)]
    plain = report(write_log(tmp_path / "plain", lines))
    noon = START + 7.5 * DAY
    strange = {"prompt_tokens": 9999}
    others = [
        line(noon, "b" * 64, 1, strange),  # the canary's
        line(noon, RELEASE, 2, strange, status=502, code="upstream_failed"),
        line(noon, RELEASE, 3, strange, route="other"),
        line(noon, RELEASE, 4, strange, tries=None, choices=[]),  # an earlier answer
        line(noon + DAY, RELEASE, 5, strange),  # the first moment that is no longer in the window
        line(START + 8 * DAY, RELEASE, 6, strange),
    ]
    assert report(write_log(tmp_path / "more", [*lines, *others])) == plain
    gap = {"kind": "gap", "time": at(7.5).replace("Z", ".000Z"), "lost": 12}
    assert report(write_log(tmp_path / "gap", [*lines, gap])).now.lost == 12


def test_of_too_few_records_nothing_is_said(tmp_path: Path) -> None:
    found = report(write_log(tmp_path, [*week(), *day(7, RELEASE, records=99, longer=9)]))
    assert found.level == "unknown"
    assert report(write_log(tmp_path / "none", week())).features == ()


def test_a_folder_without_a_log_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no decision log"):
        report(tmp_path)


def test_engines_that_count_no_tokens_are_compared_by_bytes(tmp_path: Path) -> None:
    lines = [*week(), *day(7, RELEASE, longer=3)]
    for one in lines:
        one["figures"] |= {"prompt_tokens": 0, "completion_tokens": 0}
    found = report(write_log(tmp_path, lines))
    assert {one.feature for one in found.features} == {"request bytes", "api", "stream", "ending"}
    assert found.level == "above"


def test_quiet_days_ring_as_seldom_as_the_settings_say() -> None:
    """By bounds so narrow that only chance decides; sizes that differ from day to day."""
    narrow = Hysteresis(upper=1e-9, lower=1e-9)
    measuring = Measuring(significance=0.05, psi=narrow, gap=narrow)
    reference = [decision(one) for number in range(7) for one in day(number, RELEASE, records=400)]
    rung = 0
    for number in range(QUIET_DAYS):
        today = [decision(one) for one in day(7, RELEASE, records=120 + 40 * (number % 5), seed=number + 1)]
        rung += level_of(compare(today, reference, measuring)) == "above"
    assert 0 < rung <= 0.09 * QUIET_DAYS  # 0.05, and three standard deviations of such a count


def test_a_report_holds_nothing_of_who_asked(tmp_path: Path) -> None:
    lines = day(7, RELEASE)
    text = report_text(report(write_log(tmp_path, [*week(), *lines])))
    assert not [one for one in lines if one["trace_id"] in text]
    assert set(json.loads(text)) == {"version", "subject", "measuring", "now", "then", "features", "level"}
