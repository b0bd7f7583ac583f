"""What /metrics tells of the two releases of a split: each request as it was drawn, whoever has answered it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ..support.gateway import OTHER, RELEASE, Gateway, write_routes
from ..support.upstream import Engine

ASKED = 60
Samples = dict[tuple[str, ...], float]


def split(engine: Engine, canary: str, **more: Any) -> dict[str, Any]:
    upstreams = {
        "stable": {"url": engine.url("ok"), "release": RELEASE},
        "new": {"url": engine.url(canary), "release": OTHER},
    }
    route = {"strategy": "canary", "primary": "stable", "canary": "new", "percent": 50, **more}
    return {"upstreams": upstreams, "routes": {"chat": route}}


@pytest.fixture
def gateways(engine: Engine, tmp_path: Path) -> Iterator[Any]:
    started: list[Gateway] = []

    def start(document: dict[str, Any], **env: str) -> Gateway:
        routes = write_routes(tmp_path / "routes", {"chat": document})
        started.append(Gateway(tmp_path, "--routes", str(routes), env=env).wait())
        return started[-1]

    yield start
    assert [gateway.stop() for gateway in started] == [0] * len(started)


def samples(gateway: Gateway, name: str) -> Samples:
    """(release, what the last label says) -> value."""
    families = text_string_to_metric_families(gateway.get("/metrics", key=None).text)
    found = [one for family in families for one in family.samples if one.name == name]
    assert {one.labels.pop("route") for one in found} <= {"chat"}
    return {
        tuple(one.labels[label] for label in ("release", *sorted(set(one.labels) - {"release"}))): one.value
        for one in found
    }


def test_failures_are_the_drawn_release_s_where_the_other_one_has_made_them_good(gateways: Any, engine: Engine) -> None:
    open_for_good = {"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "5", "GATEWAY_CIRCUIT_BREAKER_RESET_SECONDS": "3600"}
    gateway = gateways(split(engine, "500"), **open_for_good)
    answers = [gateway.ask() for _ in range(ASKED)]
    assert {(one.status_code, one.headers["x-nexus-release"]) for one in answers} == {(200, RELEASE)}
    drawn = samples(gateway, "gateway_drawn_requests_total")
    assert sum(drawn.values()) == ASKED
    assert drawn[OTHER, "500"] == 5, "then its circuit is open"
    assert drawn[OTHER, "uncalled"] == ASKED - 5 - drawn[RELEASE, "200"] > 0
    assert samples(gateway, "gateway_drawn_first_byte_seconds_count") == {(RELEASE,): drawn[RELEASE, "200"]}, (
        "what took two calls is no figure of either release"
    )


def test_answers_of_both_have_their_time_length_and_ending(gateways: Any, engine: Engine) -> None:
    gateway = gateways(split(engine, "parrot-1"))
    answered = Counter(gateway.ask(stream=True).headers["x-nexus-release"] for _ in range(ASKED))
    assert len(answered) == 2
    drawn = {(release,): float(count) for release, count in answered.items()}
    for name in ("first_byte_seconds", "call_seconds", "inter_token_seconds", "answer_tokens"):
        assert samples(gateway, f"gateway_drawn_{name}_count") == drawn
    assert samples(gateway, "gateway_drawn_answer_tokens_sum") == {key: 3 * count for key, count in drawn.items()}
    assert samples(gateway, "gateway_drawn_endings_total") == {
        (RELEASE, "none"): drawn[RELEASE,],
        (OTHER, "stop"): drawn[OTHER,],
    }


def test_a_release_that_cuts_its_streams_fails(gateways: Any, engine: Engine) -> None:
    gateway = gateways(split(engine, "reset", percent=99), GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES="1000")
    answered = Counter(gateway.ask(stream=True).headers["x-nexus-release"] for _ in range(ASKED))
    assert answered[OTHER] > ASKED / 2
    assert samples(gateway, "gateway_drawn_requests_total") == {
        key: count
        for key, count in {(OTHER, "error"): answered[OTHER], (RELEASE, "200"): answered[RELEASE]}.items()
        if count
    }
    assert (OTHER,) not in samples(gateway, "gateway_drawn_call_seconds_count"), "the time of half an answer is none"


@pytest.mark.parametrize(
    "document",
    [
        {"strategy": "direct", "upstream": "stable"},
        {"strategy": "canary", "primary": "stable", "canary": "new", "percent": 0},
    ],
)
def test_a_route_without_a_split_has_no_figures_of_it(gateways: Any, engine: Engine, document: dict[str, Any]) -> None:
    gateway = gateways({**split(engine, "ok"), "routes": {"chat": document}})
    assert gateway.ask(stream=True).status_code == 200
    assert "gateway_drawn" not in "".join(
        line for line in gateway.get("/metrics", key=None).text.splitlines() if not line.startswith("#")
    )


def test_who_is_sent_by_a_header_is_no_draw(gateways: Any, engine: Engine) -> None:
    rule = {"header": "x-beta", "value": "yes", "upstream": "new"}
    gateway = gateways(split(engine, "ok", match=[rule]))
    assert gateway.ask(headers={"x-beta": "yes"}).headers["x-nexus-release"] == OTHER
    assert samples(gateway, "gateway_drawn_requests_total") == {}
    gateway.ask()
    assert sum(samples(gateway, "gateway_drawn_requests_total").values()) == 1
