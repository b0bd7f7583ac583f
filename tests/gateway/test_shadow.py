"""Copies of requests to an engine that is tried out: what they change for the client, which is nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.gateway import BIN, OTHER, RELEASE, Gateway, until, write_routes
from ..support.spoken import ASKED, STREAMS
from ..support.typed_page import typed
from ..support.upstream import USAGE, Engine

TRIED = ("other", "reset", "500", "stall", "garbage", "flood", "close", "short", "big-head")


def route(upstream: str, shadow: str, **more: Any) -> dict[str, Any]:
    return {"strategy": "direct", "upstream": upstream, "shadow": {"upstream": shadow, **more}}


@pytest.fixture(scope="module")
def shadowed(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("shadow")
    upstreams: dict[str, Any] = {name: {"url": engine.url(name), "release": OTHER} for name in (*TRIED, "spoken")}
    upstreams["ok"] = {"url": engine.url("ok"), "release": RELEASE}
    upstreams["gone"] = {"url": "http://127.0.0.1:1"}
    upstreams["narrow"] = {"url": engine.url("gated"), "max_parallel": 1}
    upstreams["chat-only"] = {"url": engine.url("other"), "apis": ["chat"]}
    routes = {f"beside-{name}": route("ok", name, max_parallel=100) for name in (*TRIED, "gone")}
    routes |= {
        "none": route("ok", "other", percent=0),
        "half": route("ok", "other", percent=50),
        "lane": route("ok", "other", match={"header": "x-lane", "value": "beta"}),
        "one": route("ok", "gated-copy", max_parallel=1),
        "narrow": {"strategy": "direct", "upstream": "narrow", "timeouts": {"first_byte_seconds": 20}},
        "beside-narrow": route("ok", "narrow"),
        "every-api": route("spoken", "spoken"),
        "beside-chat-only": route("spoken", "chat-only"),
        "failing": route("500", "other"),
    }
    upstreams["gated-copy"] = {"url": engine.url("gated")}
    document = {"upstreams": upstreams, "routes": routes}
    running = Gateway(folder, "--routes", str(write_routes(folder / "routes", {"all": document}))).wait()
    yield running
    assert running.stop() == 0


def pairs(gateway: Gateway, name: str, count: int) -> list[dict[str, Any]]:
    """The lines of that route's pairs, once there are so many."""

    def found() -> list[dict[str, Any]]:
        return [line for line in gateway.lines() if line["message"] == "shadow" and line["route"] == name]

    until(lambda: len(found()) >= count, f"{count} pairs of {name}")
    return found()


def dropped(gateway: Gateway, name: str, reason: str) -> float:
    head = f'gateway_shadow_dropped_total{{reason="{reason}",route="{name}"}} '
    lines = [line for line in gateway.get("/metrics").text.splitlines() if line.startswith(head)]
    return float(lines[0].rsplit(" ", 1)[1]) if lines else 0.0


def test_the_engine_gets_the_same_bytes_and_the_client_the_first_engine_s_answer(
    shadowed: Gateway, engine: Engine
) -> None:
    answer = shadowed.ask("beside-other", temperature=0.5)
    pair = pairs(shadowed, "beside-other", 1)[-1]
    original, copy = engine.of("ok")[-1], engine.of("other")[-1]
    assert (answer.status_code, answer.headers["x-nexus-release"]) == (200, RELEASE)
    assert copy.body == original.body
    assert copy.headers.pop("x-nexus-shadow") == "1"
    assert copy.headers["traceparent"] == answer.headers["traceparent"]  # the original is under its call's own span
    own = {"host": "", "traceparent": ""}
    assert {**copy.headers, **own} == {**original.headers, **own}
    assert (pair["request_id"], pair["trace_id"]) == (answer.headers["x-request-id"], answer.headers["x-trace-id"])
    for side, release in (("primary", RELEASE), ("shadow", OTHER)):
        told = pair[side]
        assert (told["status"], told["release"], told["answer_bytes"]) == ("200", release, len(original.answered))
        assert (told["prompt_tokens"], told["completion_tokens"]) == (USAGE["prompt_tokens"], 3)
        assert 0 < told["first_byte_ms"] <= told["duration_ms"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", [*TRIED, "gone"])
def test_whatever_the_copy_s_engine_does_the_client_sees_nothing_of_it(
    shadowed: Gateway, engine: Engine, name: str, *, stream: bool
) -> None:
    asked = len(engine.of("ok"))
    answer = shadowed.ask(f"beside-{name}", stream=stream)
    assert (answer.status_code, answer.headers["x-nexus-route"]) == (200, f"beside-{name}")
    assert answer.content == engine.of("ok")[-1].answered
    assert len(engine.of("ok")) == asked + 1
    circuit = shadowed.get("/v1/circuit-breakers").json()[name]
    assert circuit["failures"] == 0, "a copy speaks for or against nobody"


def test_a_copy_of_an_engine_that_fails_is_told_as_such(shadowed: Gateway) -> None:
    shadowed.ask("beside-500")
    shadowed.ask("beside-reset", stream=True)
    assert pairs(shadowed, "beside-500", 1)[0]["shadow"]["status"] == "500"
    assert "error" in {pair["shadow"]["status"] for pair in pairs(shadowed, "beside-reset", 1)}


def test_a_share_of_the_requests_is_copied(shadowed: Gateway, engine: Engine) -> None:
    before = len(engine.of("other"))
    for _ in range(40):
        shadowed.ask("none")
    assert len(engine.of("other")) == before
    for _ in range(200):
        shadowed.ask("half")
    until(lambda: len(pairs(shadowed, "half", 1)) == len(engine.of("other")) - before, "all copies have ended")
    assert 100 - 4 * 7.1 <= len(engine.of("other")) - before <= 100 + 4 * 7.1, "four sigma of a fair coin"


def test_a_rule_s_header_says_which_requests_are_copied(shadowed: Gateway, engine: Engine) -> None:
    before = len(engine.of("other"))
    shadowed.ask("lane")
    shadowed.ask("lane", headers={"x-lane": "beta"})
    assert len(pairs(shadowed, "lane", 1)) == 1
    assert len(engine.of("other")) == before + 1


def test_copies_are_bounded_and_one_too_many_is_dropped_and_counted(shadowed: Gateway, engine: Engine) -> None:
    engine.gate.clear()
    before = len(engine.of("gated"))
    assert shadowed.ask("one", wait=True).status_code == 200
    until(lambda: len(engine.of("gated")) == before + 1, "the copy is at its engine")
    assert shadowed.ask("one", wait=True).status_code == 200
    assert dropped(shadowed, "one", "full") == 1
    engine.gate.set()
    assert len(pairs(shadowed, "one", 1)) == 1
    engine.gate.clear()


def test_an_engine_that_is_busy_with_its_own_requests_gets_no_copies(shadowed: Gateway, engine: Engine) -> None:
    engine.gate.clear()
    before = len(engine.of("gated"))
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(shadowed.ask, "narrow", wait=True)
        until(lambda: len(engine.of("gated")) == before + 1, "the engine is full")
        assert shadowed.ask("beside-narrow").status_code == 200
        assert dropped(shadowed, "beside-narrow", "busy") == 1
        engine.gate.set()
        assert held.result().status_code == 200
    engine.gate.clear()


@pytest.mark.parametrize("path", sorted(ASKED))
def test_every_api_is_copied(shadowed: Gateway, engine: Engine, path: str) -> None:
    before = len(engine.of("spoken"))
    body = {"model": "every-api", **ASKED[path], "stream": path in STREAMS}
    answer = httpx.post(shadowed.url + path, json=body, headers={"x-api-key": "dev-key"}, timeout=30)
    assert answer.status_code == 200
    until(lambda: len(engine.of("spoken")) == before + 2, "both have been asked")
    assert {seen.path for seen in engine.of("spoken")[before:]} == {path}


def test_an_api_that_the_copy_s_engine_does_not_speak_is_not_copied(shadowed: Gateway) -> None:
    body = {"model": "beside-chat-only", **ASKED["/v1/embeddings"]}
    headers = {"x-api-key": "dev-key"}
    assert httpx.post(f"{shadowed.url}/v1/embeddings", json=body, headers=headers, timeout=30).status_code == 200
    assert dropped(shadowed, "beside-chat-only", "api_not_served") == 1


def test_a_copy_is_made_where_the_original_fails_and_never_answers_in_its_stead(shadowed: Gateway) -> None:
    assert shadowed.ask("failing").status_code == 502
    pair = pairs(shadowed, "failing", 1)[0]
    assert (pair["primary"]["status"], pair["shadow"]["status"]) == ("502", "200")


def test_copies_cost_the_caller_nothing_and_count_as_no_call_of_an_engine(engine: Engine, tmp_path: Path) -> None:
    document = {
        "upstreams": {"ok": {"url": engine.url("ok")}, "tried": {"url": engine.url("other")}},
        "routes": {"m": route("ok", "tried")},
        "policies": {"dev-key": {"requests_per_minute": 100, "tokens_per_minute": 10_000}},
    }
    gateway = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", {"all": document}))).wait()
    gateway.ask("m", max_tokens=10)
    pairs(gateway, "m", 1)
    second = gateway.ask("m", max_tokens=10)
    body = second.request.content
    assert int(second.headers["x-ratelimit-remaining-tokens"]) == 10_000 - USAGE["total_tokens"] - len(body) // 4 - 10
    assert second.headers["x-ratelimit-remaining-requests"] == "98"
    metrics = gateway.get("/metrics").text
    assert 'gateway_upstream_requests_total{status="200",upstream="tried"}' not in metrics
    assert 'gateway_shadow_requests_total{route="m",status="200",upstream="tried"}' in metrics
    assert gateway.stop() == 0


def test_a_shadow_of_an_upstream_that_is_not_there_is_refused(tmp_path: Path) -> None:
    document = {"upstreams": {"ok": {"url": "mock://local"}}, "routes": {"m": route("ok", "nobody")}}
    folder = write_routes(tmp_path / "routes", {"all": document})
    told = subprocess.run([str(BIN / "nexus-gateway"), "check", str(folder)], capture_output=True, text=True)
    assert told.returncode == 2
    assert "routes.m: upstream 'nobody'" in told.stderr


def line(first: float, second: float, status: str = "200") -> str:
    def side(name: str, duration: float, told: str) -> dict[str, Any]:
        times = {"duration_ms": duration, "first_byte_ms": duration / 2}
        counts = {"answer_bytes": 100, "prompt_tokens": 1, "completion_tokens": int(duration)}
        return {"upstream": name, "release": name[0] * 64, "status": told, **times, **counts}

    pair = {"route": "m", "primary": side("a-1", first, "200"), "shadow": side("b-1", second, status)}
    return json.dumps({"message": "shadow", **pair}) + "\n"


def test_the_report_compares_pairs_and_not_averages(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "no JSON\n" + line(10, 20) + line(100, 50) + line(10, 40) + line(10, 1000, "500") + '{"message": 1}\n'
    )
    command = [str(BIN / "nexus-gateway"), "shadow-report", str(log)]
    told = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert len(told) == 1
    assert (told[0]["primary"], told[0]["shadow"], told[0]["pairs"]) == ("a-1 (aaaaaaaa)", "b-1 (bbbbbbbb)", 4)
    assert told[0]["statuses"] == {"200 -> 200": 3, "200 -> 500": 1}
    duration = told[0]["figures"]["duration_ms"]
    assert (duration["pairs"], duration["p50"], duration["shadow_p50"], duration["ratio"]) == (3, 10, 40, 2)
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "m: a-1 (aaaaaaaa) beside b-1 (bbbbbbbb), 4 pairs" in shown


def test_the_report_of_a_real_log_names_both_engines(shadowed: Gateway) -> None:
    shadowed.ask("beside-other")
    pairs(shadowed, "beside-other", 1)
    shown = typed(__file__, "docs/how-to/try-a-model-on-live-traffic.md", {}, shadowed.log.parent)
    assert f"beside-other: ok ({RELEASE[:8]}) beside other ({OTHER[:8]})" in shown
    command = [str(BIN / "nexus-gateway"), "shadow-report", "-"]
    empty = subprocess.run(command, input="{}\n", capture_output=True, text=True)
    assert (empty.returncode, "no copied request" in empty.stderr) == (1, True)
