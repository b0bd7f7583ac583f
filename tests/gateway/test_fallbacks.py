"""Who answers when an engine does not: other endpoints, other targets, other models; never after the first byte."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.gateway import OTHER, RELEASE, Gateway, code, posted, until, write_routes
from ..support.upstream import Engine

BAD = ("reset", "close", "garbage", "500", "429", "error-event", "no-json", "401")


def route(upstream: str, *fallbacks: str, **more: Any) -> dict[str, Any]:
    return {"strategy": "direct", "upstream": upstream, "fallbacks": list(fallbacks), **more}


@pytest.fixture(scope="module")
def fleet(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("fleet")
    upstreams: dict[str, Any] = {name: {"url": engine.url(name), "release": RELEASE} for name in (*BAD, "stall")}
    upstreams |= {"good": {"url": engine.url("ok"), "release": OTHER}, "nobody": {"url": "http://127.0.0.1:1"}}
    upstreams["late"] = {"url": engine.url("late-error-event")}
    upstreams["renamed"] = {"url": engine.url("other"), "model": "org/Engine-7B"}
    upstreams["picky"] = {"url": engine.url("400")}
    upstreams["pair"] = {"endpoints": ["http://127.0.0.1:1", engine.url("ok")], "release": RELEASE}
    routes: dict[str, Any] = {f"from-{name}": route(name, "good") for name in (*BAD, "late", "picky", "nobody")}
    routes |= {
        "good": route("good"),
        "from-stall": route("stall", "good", timeouts={"first_byte_seconds": 0.3}),
        "chain": route("reset", "from-500", "good", tries=4),
        "hopeless": route("reset", "from-nobody-alone", "500-alone"),
        "from-nobody-alone": route("nobody"),
        "500-alone": route("500"),
        "once": route("reset", "good", tries=1),
        "pair": route("pair"),
        "renamed": route("renamed"),
        "split": {"strategy": "canary", "primary": "good", "canary": "reset", "percent": 100},
        "half": {"strategy": "canary", "primary": "good", "canary": "reset", "percent": 99.99},
        "lane": route("good", match=[{"header": "x-lane", "value": "beta", "upstream": "pair"}]),
        "strict": route("good", match=[{"header": "x-lane", "value": "beta", "upstream": "reset"}]),
    }
    files = {"all": {"upstreams": upstreams, "routes": routes, "default": "good"}}
    many = {"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "100000"}
    running = Gateway(folder, "--routes", str(write_routes(folder / "routes", files)), env=many).wait()
    yield running
    assert running.stop() == 0


def last(engine: Engine, behaviour: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.of(behaviour)[-1].body)
    return found


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["close", "garbage", "500", "429", "401", "nobody", "stall"])
def test_another_model_answers_where_the_first_fails_before_its_first_byte(
    fleet: Gateway, engine: Engine, fault: str, stream: bool
) -> None:
    answer = fleet.ask(f"from-{fault}", stream=stream)
    assert answer.status_code == 200
    assert answer.headers["x-fallback-model"] == answer.headers["x-nexus-route"] == "good"
    assert answer.headers["x-nexus-release"] == OTHER
    assert last(engine, "ok")["model"] == "good"


def test_an_answer_that_is_cut_short_or_no_json_or_begins_with_an_error_is_a_failure_too(fleet: Gateway) -> None:
    assert fleet.ask("from-reset").headers["x-fallback-model"] == "good"
    assert fleet.ask("from-error-event", stream=True).headers["x-fallback-model"] == "good"
    assert fleet.ask("from-no-json").headers["x-fallback-model"] == "good"


def test_after_the_first_byte_nobody_else_answers(fleet: Gateway, engine: Engine) -> None:
    before = len(engine.of("ok"))
    answer = fleet.ask("from-late", stream=True)
    assert "x-fallback-model" not in answer.headers
    assert '"code": "stream_broken"' in answer.text
    assert "[DONE]" not in answer.text
    assert len(engine.of("ok")) == before


def test_what_is_the_client_s_fault_is_told_to_it_and_asked_of_nobody_else(fleet: Gateway, engine: Engine) -> None:
    before = len(engine.of("ok"))
    assert fleet.ask("from-picky").status_code == 400
    assert len(engine.of("ok")) == before


def test_a_chain_is_followed_with_each_one_s_own_fallbacks(fleet: Gateway) -> None:
    assert fleet.ask("chain").headers["x-fallback-model"] == "good"


def test_when_all_fail_each_is_named_with_its_reason_and_no_address(fleet: Gateway) -> None:
    answer = fleet.ask("hopeless")
    assert (answer.status_code, code(answer)) == (502, "upstream_failed")
    told = answer.json()["error"]["message"]
    assert [part.split(":")[0] for part in told.split("; ")] == ["hopeless", "from-nobody-alone", "500-alone"]
    assert "127.0.0.1" not in told
    assert "x-fallback-model" not in answer.headers, "nobody has answered in its stead"


def test_a_route_says_how_often_it_tries(fleet: Gateway) -> None:
    assert fleet.ask("once").status_code == 502


def test_the_body_of_another_model_differs_in_the_name_alone(fleet: Gateway, engine: Engine) -> None:
    body = b'{ "messages":[ {"role":"user","content":"the \\"model\\": x"} ],\n "model" : "from-reset" , "x":1.50}'
    headers = {"authorization": "Bearer dev-key", "content-type": "application/json"}
    answer = httpx.post(f"{fleet.url}/v1/chat/completions", content=body, headers=headers, timeout=30)
    assert answer.status_code == 200
    assert engine.of("ok")[-1].body == body.replace(b'"from-reset"', b'"good"')


def test_a_name_that_stands_elsewhere_too_is_changed_where_it_counts(fleet: Gateway, engine: Engine) -> None:
    fleet.ask("from-reset", metadata={"model": "from-reset"})
    sent = last(engine, "ok")
    assert (sent["model"], sent["metadata"]) == ("good", {"model": "from-reset"})


def test_an_engine_is_asked_by_its_own_name_for_the_model(fleet: Gateway, engine: Engine) -> None:
    answer = fleet.ask("renamed", x=1)
    assert (answer.status_code, answer.headers["x-nexus-route"]) == (200, "renamed")
    sent = last(engine, "other")
    assert (sent["model"], sent["x"]) == ("org/Engine-7B", 1)


def test_of_several_endpoints_a_dead_one_costs_nobody_an_answer(fleet: Gateway) -> None:
    answers = [fleet.ask("pair") for _ in range(8)]
    assert {answer.status_code for answer in answers} == {200}
    assert all("x-fallback-model" not in answer.headers for answer in answers)


def test_the_other_target_of_a_split_answers_where_it_has_a_share(fleet: Gateway) -> None:
    assert fleet.ask("half").headers["x-nexus-release"] == OTHER
    assert fleet.ask("split").status_code == 502, "a target without a share is never asked"


def test_a_header_decides_before_the_split(fleet: Gateway) -> None:
    assert fleet.ask("lane").headers["x-nexus-release"] == OTHER
    assert fleet.ask("lane", headers={"x-lane": "beta"}).headers["x-nexus-release"] == RELEASE
    assert fleet.ask("lane", headers={"x-lane": "gamma"}).headers["x-nexus-release"] == OTHER


def test_who_a_header_has_sent_somewhere_is_answered_there_or_not_at_all(fleet: Gateway) -> None:
    assert fleet.ask("strict", headers={"x-lane": "beta"}).status_code == 502


def test_a_model_without_a_route_goes_to_the_default_upstream(fleet: Gateway, engine: Engine) -> None:
    answer = fleet.ask("never-heard-of")
    assert (answer.status_code, answer.headers["x-nexus-route"]) == (200, "default")
    assert last(engine, "ok")["model"] == "never-heard-of"


def test_what_was_answered_by_another_is_counted_and_logged(engine: Engine, tmp_path: Path) -> None:
    upstreams = {"bad": {"url": engine.url("500")}, "good": {"url": engine.url("ok")}}
    files = {"all": {"upstreams": upstreams, "routes": {"chat": route("bad", "good"), "good": route("good")}}}
    gateway = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", files))).wait()
    assert gateway.ask("chat").status_code == 200
    metrics = gateway.get("/metrics").text
    assert 'gateway_fallback_used_total{from_model="chat",to_model="good"} 1.0' in metrics
    assert 'gateway_upstream_requests_total{status="500",upstream="bad"} 1.0' in metrics
    assert 'gateway_upstream_requests_total{status="200",upstream="good"} 1.0' in metrics
    assert gateway.stop() == 0
    (line,) = [
        line for line in gateway.lines() if line["message"] == "request" and line["status"] == 200 and line["route"]
    ]
    assert (line["fallback_model"], line["upstream"]) == ("good", "good")


def test_a_fallback_that_the_key_may_not_use_is_not_asked(engine: Engine, tmp_path: Path) -> None:
    upstreams = {"bad": {"url": engine.url("500")}, "good": {"url": engine.url("ok")}}
    document = {
        "upstreams": upstreams,
        "routes": {"chat": route("bad", "good"), "good": route("good")},
        "policies": {"dev-key": {"models": ["chat"]}},
    }
    gateway = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", {"all": document}))).wait()
    assert gateway.ask("chat").status_code == 502
    assert gateway.stop() == 0


def test_all_circuits_open_is_503_and_says_when_to_come_again(tmp_path: Path) -> None:
    upstreams = {"a": {"url": "http://127.0.0.1:1"}, "b": {"url": "http://127.0.0.1:1"}}
    files = {"all": {"upstreams": upstreams, "routes": {"chat": route("a", "other"), "other": route("b")}}}
    env = {"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1"}
    gateway = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", files)), env=env).wait()
    assert gateway.ask("chat").status_code == 502
    answer = gateway.ask("chat")
    assert (answer.status_code, code(answer)) == (503, "circuit_open")
    assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert gateway.stop() == 0


def test_the_endpoint_with_the_fewest_calls_is_asked(engine: Engine, tmp_path: Path) -> None:
    """One endpoint holds its answers back; all that come meanwhile are with the other."""
    document = {
        "upstreams": {"two": {"endpoints": [engine.url("stall"), engine.url("ok")]}},
        "routes": {"chat": route("two", timeouts={"first_byte_seconds": 60})},
    }
    gateway = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", {"all": document}))).wait()
    before = len(engine.of("stall"))
    body = b'{"model": "chat", "messages": []}'
    with socket.create_connection(("127.0.0.1", gateway.port)) as waiting:
        waiting.sendall(posted(body))
        until(lambda: len(engine.of("stall")) == before + 1, "the first call is with the endpoint that stalls")
        assert [gateway.ask("chat").status_code for _ in range(4)] == [200] * 4
        assert len(engine.of("stall")) == before + 1
    assert gateway.stop() == 0
