"""Answers that are counted the short way are counted as all others are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.core import Metric

from nexus_gateway.telemetry.gaps import Gaps
from nexus_gateway.telemetry.metrics import Metrics
from nexus_gateway.telemetry.record import RequestRecord, Try

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def answered(**more: Any) -> RequestRecord:
    known: dict[str, Any] = {
        "status": 200, "route": "chat", "release": "1a", "tenant": "team-a", "model": "chat", "ended": 100.25,
        "first_byte": 100.06, "prompt_tokens": 7, "completion_tokens": 3, "cached_tokens": 2,
        "tries": [Try("chat-1", 100.01, status="200", ended=100.2)],
    }  # fmt: skip
    return RequestRecord("POST", "/v1/chat/completions", "203.0.113.7", 100.0, **{**known, **more})


def waited() -> Gaps:
    gaps = Gaps()
    gaps.came(0.3, 2)
    return gaps


USUAL: dict[str, RequestRecord] = {
    "whole": answered(),
    "stream": answered(stream=True, gaps=waited()),
    "no tokens": answered(prompt_tokens=0, completion_tokens=0, cached_tokens=0),
    "no release": answered(release=""),
    "another tenant": answered(tenant="team-b"),
    "of the client's making": answered(status=400, tries=[Try("chat-1", 100.01, status="400", ended=100.2)]),
    "slow": answered(ended=2000.0, first_byte=1999.0, tries=[Try("chat-1", 100.0, status="200", ended=1999.5)]),
    "broken": answered(tries=[Try("chat-1", 100.0, status="error", ended=101.0)], code="stream_broken"),
    "on a bound": answered(ended=100.25, first_byte=100.25),
}
UNUSUAL: dict[str, RequestRecord] = {
    "retried": answered(tries=[*answered().tries, *answered().tries], retries=("upstream_failed",)),
    "by a fallback": answered(fallback_model="other"),
    "limited": answered(limited="tokens"),
    "masked": answered(masked={"requests": {"email": 1}}),
    "opened": answered(tries=[Try("chat-1", 100.0, status="error", ended=101.0, opened_circuit=True)]),
    "by an idempotency key": answered(idempotency="first"),
    "nothing went out": answered(first_byte=0.0),
    "no engine": answered(tries=[]),
    "no route": answered(route=""),
}


def figures(count: Callable[[Metrics, RequestRecord], None], records: list[RequestRecord]) -> Figures:
    none: list[Metric] = []
    metrics = Metrics(lambda: none, lambda: 0.0)
    for record in records:
        count(metrics, record)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in metrics.families(scraped=False)
        for sample in family.samples
    }


@pytest.mark.parametrize("name", [*USUAL, *UNUSUAL])
def test_each_is_counted_as_by_the_long_way(name: str) -> None:
    records = [({**USUAL, **UNUSUAL})[name]] * 2
    assert figures(Metrics.count, records) == figures(Metrics._count_any, records)


def test_all_together_are_counted_as_by_the_long_way() -> None:
    records = [*USUAL.values(), *UNUSUAL.values(), *USUAL.values()]
    assert figures(Metrics.count, records) == figures(Metrics._count_any, records)


@pytest.mark.parametrize("name", USUAL)
def test_the_short_way_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Metrics, "_count_any", None)
    assert figures(Metrics.count, [USUAL[name]])


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_more_is_counted_of_goes_the_long_way(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Metrics, "_count_usual", None)
    assert figures(Metrics.count, [UNUSUAL[name]])
