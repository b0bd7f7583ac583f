"""Spans by OTLP: true to the request, in the conventions' own words, lost rather than in anybody's way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from nexus_release.local.free_ports import free_port

from ..support.collector import Collector
from ..support.gateway import BIN, OTHER, RELEASE, Gateway, direct, until, write_routes
from ..support.upstream import Engine

SECRET = "canary-secret-7f3a"
MODELS = ("ok", "cached", "500", "400", "late-error-event")


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    running = Collector().start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def traced(collector: Collector, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("traced")
    files: dict[str, Any] = {name: direct(name, engine.url(name)) for name in MODELS}
    upstreams = {"bad": {"url": engine.url("500"), "release": RELEASE, "model": "engine-name"},
                 "good": {"url": engine.url("ok"), "release": OTHER}}  # fmt: skip
    routes = {
        "asked": {"strategy": "direct", "upstream": "bad", "fallbacks": ["instead"]},
        "instead": {"strategy": "direct", "upstream": "good"},
    }
    files["pair"] = {"upstreams": upstreams, "routes": routes, "default": "good"}
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1000"}
    gateway = Gateway(folder, "--routes", str(write_routes(folder / "routes", files)), env=env).wait()
    yield gateway
    assert gateway.stop() == 0


def told(collector: Collector, request_id: str) -> Any:
    def found() -> Any:
        return any(taken.attributes.get("nexus.request_id") == request_id for taken in collector.spans)

    until(found, f"the spans of {request_id} arrive")
    return collector.of(request_id)


def test_a_request_is_a_server_span_under_the_client_s_and_over_its_calls(
    traced: Gateway, collector: Collector, engine: Engine
) -> None:
    parent = "00-" + "4" * 32 + "-" + "5" * 16 + "-01"
    before = time.time_ns()
    answer = traced.ask("asked", headers={"x-request-id": "two-tries", "traceparent": parent})
    assert answer.headers["x-fallback-model"] == "instead"
    own, (first, second) = told(collector, "two-tries")
    assert (own.trace, own.parent, own.span.kind) == ("4" * 32, "5" * 16, Span.SPAN_KIND_SERVER)
    assert own.id == answer.headers["traceparent"].split("-")[2]
    assert {first.trace, second.trace} == {"4" * 32}
    assert first.span.kind == second.span.kind == Span.SPAN_KIND_CLIENT
    seen = [engine.of(name)[-1].headers["traceparent"].split("-")[2] for name in ("500", "ok")]
    assert seen == [first.id, second.id]
    times = [own.span.start_time_unix_nano, first.span.start_time_unix_nano, first.span.end_time_unix_nano,
             second.span.start_time_unix_nano, second.span.end_time_unix_nano, own.span.end_time_unix_nano]  # fmt: skip
    assert times == sorted(times)
    assert before - 1e9 < times[0] < time.time_ns()
    assert collector.paths[-1] == "/v1/traces"


def test_attributes_say_who_was_asked_and_who_answered(traced: Gateway, collector: Collector, engine: Engine) -> None:
    traced.ask("asked", headers={"x-request-id": "who"})
    own, (first, second) = told(collector, "who")
    assert own.span.name == "POST /v1/chat/completions"
    wanted = {
        "http.response.status_code": 200, "gen_ai.operation.name": "chat", "gen_ai.request.model": "asked",
        "gen_ai.response.model": "instead", "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3,
        "nexus.release": OTHER, "nexus.route": "instead", "nexus.key_id": "dev-key", "client.address": "127.0.0.0",
    }  # fmt: skip
    assert {name: own.attributes.get(name) for name in wanted} == wanted
    assert len(own.attributes["nexus.revision"]) == 64
    assert (first.span.name, second.span.name) == ("chat engine-name", "chat instead")
    assert first.span.status.code == Status.STATUS_CODE_ERROR
    assert (first.attributes["error.type"], first.attributes["http.response.status_code"]) == ("upstream_failed", 500)
    assert (first.attributes["nexus.release"], second.attributes["nexus.release"]) == (RELEASE, OTHER)
    assert (second.attributes["server.address"], second.attributes["server.port"]) == ("127.0.0.1", engine.port)
    assert second.attributes["http.request.resend_count"] == 1
    assert second.attributes["gen_ai.usage.output_tokens"] == 3
    assert "gen_ai.usage.output_tokens" not in first.attributes
    assert own.span.status.code == second.span.status.code == Status.STATUS_CODE_UNSET


@pytest.mark.parametrize(
    ("model", "stream", "status", "own_error", "try_error"),
    [
        ("500", False, 502, "upstream_failed", "upstream_failed"),
        ("late-error-event", True, 200, "stream_broken", "stream_broken"),
        ("400", False, 400, None, "400"),
        ("ok", True, 200, None, None),
    ],
)
def test_a_span_is_an_error_where_the_conventions_have_it_so(
    traced: Gateway, collector: Collector, model: str, stream: bool, status: int, own_error: Any, try_error: Any
) -> None:
    name = f"status-{model}"
    assert traced.ask(model, stream=stream, headers={"x-request-id": name}).status_code == status
    own, (call,) = told(collector, name)
    for taken, error in ((own, own_error), (call, try_error)):
        assert taken.attributes.get("error.type") == error
        assert (taken.span.status.code == Status.STATUS_CODE_ERROR) == (error is not None)


def test_a_stream_tells_its_first_token_its_longest_gap_and_cached_tokens(
    traced: Gateway, collector: Collector
) -> None:
    traced.ask("cached", stream=True, headers={"x-request-id": "stream"})
    own, (call,) = told(collector, "stream")
    for taken in (own, call):
        assert taken.attributes["gen_ai.request.stream"] is True
        assert taken.attributes["gen_ai.response.time_to_first_chunk"] > 0
        assert taken.attributes["gen_ai.usage.cache_read.input_tokens"] == 5
        assert taken.attributes["nexus.longest_gap"] >= 0


def test_what_the_client_does_not_want_sampled_is_not_exported(traced: Gateway, collector: Collector) -> None:
    unsampled = {"x-request-id": "unsampled", "traceparent": "00-" + "6" * 32 + "-" + "7" * 16 + "-00"}
    answer = traced.ask("ok", headers=unsampled)
    assert answer.headers["traceparent"].endswith("-00")
    traced.ask("ok", headers={"x-request-id": "after-it"})
    told(collector, "after-it")
    assert "6" * 32 not in {taken.trace for taken in collector.spans}


def test_a_parent_of_zeros_is_no_parent(traced: Gateway, collector: Collector) -> None:
    traced.ask("ok", headers={"x-request-id": "zeros", "traceparent": "00-" + "8" * 32 + "-" + "0" * 16 + "-01"})
    own, _ = told(collector, "zeros")
    assert (own.parent, own.trace == "8" * 32) == ("", False)


def test_no_text_of_a_client_and_no_credential_is_in_what_is_sent(traced: Gateway, collector: Collector) -> None:
    traced.ask("ok", headers={"x-request-id": "c1", "x-nexus-session": SECRET, "cookie": SECRET}, user=SECRET)
    traced.ask("ok", headers={"x-request-id": "c2", "authorization": f"Bearer {SECRET}"})
    traced.ask(SECRET, headers={"x-request-id": "c3"}, text=SECRET, stream=True)
    for name in ("c1", "c2", "c3"):
        told(collector, name)
    sent = b"".join(collector.raw)
    assert SECRET.encode() not in sent
    assert b"hello" not in sent
    assert b"one two three" not in sent


def test_the_resource_is_named_and_the_environment_has_the_last_word(
    collector: Collector, engine: Engine, tmp_path: Path
) -> None:
    env = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/mine", "OTEL_SERVICE_NAME": "edge"}
    gateway = Gateway(tmp_path, *routes(tmp_path, engine), env=env).wait()
    gateway.ask("ok", headers={"x-request-id": "resource"})
    assert gateway.stop() == 0  # which sends what waits
    own, _ = collector.of("resource")
    assert own.resource["service.name"] == "edge"
    assert own.resource["service.version"]
    assert collector.paths[-1] == "/mine"


def routes(folder: Path, engine: Engine) -> tuple[str, str]:
    return "--routes", str(write_routes(folder / "routes", {"ok": direct("ok", engine.url("ok"))}))


def dropped(gateway: Gateway) -> float:
    (found,) = re.findall(r"^gateway_spans_dropped_total (\S+)$", gateway.get("/metrics").text, re.MULTILINE)
    return float(found)


def events(gateway: Gateway) -> list[tuple[str, str]]:
    lines = [line for line in gateway.lines() if line["message"] != "request"]
    return [(line["message"], line.get("reason", "")) for line in lines if "span" in line["message"]]


def test_a_collector_that_is_away_loses_spans_and_is_told_of_once(engine: Engine, tmp_path: Path) -> None:
    """Its time is for the collector that is back, too: one that is away is asked again until that is over."""
    away = Collector()
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": away.url, "OTEL_EXPORTER_OTLP_TIMEOUT": "5"}
    gateway = Gateway(tmp_path, *routes(tmp_path, engine), env=env).wait()
    for wanted in (2, 4):
        assert gateway.ask("ok").status_code == 200
        until(lambda wanted=wanted: dropped(gateway) == wanted, "its two spans are counted")  # type: ignore[misc]  # mypy has no type for a lambda's default
    away.start()
    gateway.ask("ok", headers={"x-request-id": "back"})
    told(away, "back")
    assert (dropped(gateway), gateway.stop()) == (4, 0)
    away.stop()
    assert events(gateway) == [
        ("the collector takes no spans; they are lost", "ConnectionError"),
        ("spans are taken by the collector again", ""),
    ]


def test_a_collector_that_refuses_is_told_of_by_its_status(engine: Engine, tmp_path: Path) -> None:
    refusing = Collector().start()
    refusing.status = 401
    gateway = Gateway(tmp_path, *routes(tmp_path, engine), env={"OTEL_EXPORTER_OTLP_ENDPOINT": refusing.url}).wait()
    gateway.ask("ok")
    until(lambda: dropped(gateway) == 2, "they are counted")
    assert gateway.stop() == 0
    refusing.stop()
    assert events(gateway) == [("the collector takes no spans; they are lost", "the collector answered 401")]


def test_a_collector_that_is_slow_holds_no_request_and_no_stop_up(engine: Engine, tmp_path: Path) -> None:
    slow = Collector().start()
    slow.open.clear()
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": slow.url, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    gateway = Gateway(tmp_path, *routes(tmp_path, engine), env=env).wait()
    gateway.ask("ok")
    until(lambda: slow.raw, "the collector has been asked")
    assert [gateway.ask("ok").status_code for _ in range(20)] == [200] * 20
    assert gateway.stop() == 0  # within its 30 seconds
    slow.stop()
    assert len([line for line in gateway.lines() if line["message"] == "request"]) == 21


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "write http/protobuf"),
    ],
)
def test_a_variable_that_cannot_be_meant_is_refused_at_the_start(env: dict[str, str], named: str) -> None:
    done = subprocess.run(
        [str(BIN / "nexus-gateway"), "serve", "--port", str(free_port())], env={**env, "GATEWAY_UPSTREAMS": "m=mock://local"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert named in done.stderr


def test_without_the_library_the_start_is_refused_and_says_what_to_install() -> None:
    code = f"""
import sys
sys.modules["opentelemetry.sdk"] = None
from nexus_gateway.cli import main
sys.argv = ["nexus-gateway", "serve", "--port", "{free_port()}"]
main()
"""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "GATEWAY_UPSTREAMS": "m=mock://local"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "pip install 'nexus-platform[otlp]'" in done.stderr) == (2, True), done.stderr


def test_without_a_collector_no_exporter_is_loaded() -> None:
    code = "import json, sys, nexus_gateway.running; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    assert "nexus_gateway.telemetry.collector" in loaded
    assert not {"nexus_gateway.telemetry.spans", "opentelemetry.exporter.otlp"} & set(loaded)
