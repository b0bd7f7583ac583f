"""Counters of gateways as blocks of traffic: nothing is counted twice, and a restart costs nothing but what it must."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from nexus_release.adapters.figures_prometheus import PrometheusFigures
from nexus_release.adapters.figures_scrapes import ScrapedFigures
from nexus_release.adapters.prometheus import Prometheus
from nexus_release.canary.figures import Arms, added, buckets_of, growth
from nexus_release.errors import NexusError, Unreachable

from ..support.web import Reply, serve

STABLE, CANARY = "a" * 64, "b" * 64
ARMS = Arms("prod", "chat", STABLE, CANARY, "c" * 40)
OK, BAD = ("requests_total", CANARY, "200"), ("requests_total", CANARY, "500")
SINCE = datetime(2026, 11, 1, 12, tzinfo=UTC)


def test_counters_that_have_become_less_began_again_at_0() -> None:
    assert growth({OK: 7.0}, {OK: 9.0, BAD: 2.0}) == {OK: 2.0, BAD: 2.0}
    assert growth({OK: 7.0, BAD: 1.0}, {OK: 9.0}) == {OK: 9.0}, "one that is gone: another process"
    assert added([{OK: 1.0}, {OK: 2.0, BAD: 1.0}]) == {OK: 3.0, BAD: 1.0}


def test_gateways_with_different_buckets_are_not_compared() -> None:
    def told(*bounds: str) -> dict[tuple[str, str, str], float]:
        return {("first_byte_seconds_bucket", CANARY, bound): 1.0 for bound in (*bounds, "+Inf")}

    assert buckets_of([told("0.1", "0.025"), {}])["first_byte"] == ("0.025", "0.1")
    with pytest.raises(Unreachable, match="by different buckets"):
        buckets_of([told("0.1"), told("0.1", "0.2")])


class Recorded:
    """What a Prometheus has scraped: gateway -> time after SINCE -> the answers of the canary by status."""

    def __init__(self, scrapes: dict[str, dict[int, dict[str, int]]]) -> None:
        self.scrapes, self.asked = scrapes, list[str]()

    def samples(self, selector: str, at: datetime) -> list[Any]:
        self.asked.append(selector)
        if "in_flight" in selector:
            times = {name: dict.fromkeys(told, "0") for name, told in self.scrapes.items()}
            return [self._series(name, {}, values) for name, values in times.items()]
        return [
            self._series(
                name,
                {"__name__": "gateway_drawn_requests_total", "route": "chat", "release": CANARY, "call": call},
                {when: str(counts[call]) for when, counts in told.items() if call in counts},
            )
            for name, told in self.scrapes.items()
            for call in ("200", "500")
        ]

    def _series(self, name: str, labels: dict[str, str], values: dict[int, str]) -> dict[str, Any]:
        metric = {"instance": name, "namespace": "nexus", **labels}
        return {"metric": metric, "values": [[SINCE.timestamp() + when, value] for when, value in values.items()]}


def looked(recorded: Recorded, seconds: int = 60) -> list[tuple[int, int]]:
    """Requests and errors of the canary in each block of half a minute."""
    figures = PrometheusFigures(cast(Prometheus, recorded))
    found = figures.look(ARMS, {"namespace": "nexus"}, SINCE, SINCE + timedelta(seconds=seconds), 30)
    return [(block.canary.requests, block.canary.errors) for block in found.blocks]


def test_prometheus_s_samples_are_blocks_from_the_weight_on() -> None:
    recorded = Recorded({
        "one": {-5: {"200": 100}, 5: {"200": 104}, 30: {"200": 110, "500": 1}, 40: {"200": 111, "500": 1}},
        "two": {-5: {}, 25: {"200": 3}, 55: {"200": 5}},
    })  # fmt: skip
    assert looked(recorded) == [(10 + 1 + 3, 1), (1 + 2, 0)], "100 were there before, and series begin at 0"
    assert looked(recorded, 59) == [(14, 1)], "the second one is not over"
    assert 'namespace="nexus"' in recorded.asked[0]
    assert 'route="chat"' in recorded.asked[1]


def test_prometheus_s_restarts_new_and_gone_gateways_are_borne() -> None:
    recorded = Recorded({
        "restarts": {-5: {"200": 100}, 10: {"200": 102}, 20: {"200": 3}},
        "comes": {40: {"200": 50}, 50: {"200": 52}},
        "goes": {-5: {"200": 9}, 5: {"200": 10}},
    })  # fmt: skip
    assert looked(recorded) == [(2 + 3 + 1, 0), (2, 0)]


def test_a_prometheus_that_scrapes_nobody_or_refuses_is_no_figures() -> None:
    with pytest.raises(Unreachable, match="does not scrape them"):
        looked(Recorded({}))

    class Refusing:
        def samples(self, selector: str, at: datetime) -> list[Any]:
            raise NexusError("422 too many samples")

    with pytest.raises(Unreachable, match="no figures of Prometheus: 422"):
        PrometheusFigures(cast(Prometheus, Refusing())).look(ARMS, {}, SINCE, SINCE + timedelta(minutes=1), 30)


def page(**calls: int) -> bytes:
    lines = ["gateway_in_flight_requests 0.0", 'gateway_drawn_requests_total{call="200",release="x",route="other"} 9.0']
    lines += [
        f'gateway_drawn_requests_total{{call="{call.strip("_")}",release="{CANARY}",route="chat"}} {count}.0'
        for call, count in calls.items()
    ]
    return "\n".join([*lines, ""]).encode()


def test_scrapes_count_from_the_first_look_on_and_bear_restarts_and_silence(tmp_path: Path) -> None:
    pages = {"one": page(_200=100), "two": page(_200=7)}
    with serve(lambda _: Reply(pages["one"])) as one, serve(lambda _: Reply(pages["two"], gone["two"])) as two:
        figures = ScrapedFigures(f"{one.url},{two.url}", tmp_path)
        clock = iter(SINCE + timedelta(seconds=number) for number in range(10))

        def look() -> tuple[list[tuple[int, int]], tuple[str, ...]]:
            found = figures.look(ARMS, {}, SINCE, next(clock), 30)
            return [(block.canary.requests, block.canary.errors) for block in found.blocks], found.notes

        gone = {"two": 200}
        assert look() == ([], ()), "what was there before is not of this weight"
        pages |= {"one": page(_200=104, _500=1), "two": page(_200=9)}
        assert look() == ([(4 + 1 + 2, 1)], ())
        pages["one"], gone["two"] = page(_200=3), 503
        assert look() == ([(7, 1), (3, 0)], ("1 of 2 gateways did not answer",)), "one began again, one is away"
        pages["two"], gone["two"] = page(_200=20), 200
        assert look() == ([(7, 1), (3, 0), (11, 0)], ()), "and when it is back, all since it was last seen"
        other = Arms(ARMS.environment, ARMS.model, ARMS.stable, ARMS.canary, "d" * 40)
        assert figures.look(other, {}, SINCE, next(clock), 30).blocks == (), "another weight begins anew"


def test_where_no_gateway_answers_there_are_no_figures(tmp_path: Path) -> None:
    with serve(lambda _: Reply(status=503)) as web, pytest.raises(Unreachable, match="no gateway answers"):
        ScrapedFigures(web.url, tmp_path).look(ARMS, {}, SINCE, SINCE, 30)
