"""Engines that are asked by gRPC: answers, streams, refusals, faults, deadlines, TLS and health."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import openai
import pytest

from nexus_gateway.upstreams.grpc import OPTIONS
from nexus_release.local.free_ports import free_port

from ..support.gateway import Gateway, code, until, write_routes
from ..support.grpc_engine import LARGEST, STATUSES, USAGE, WORDS, GrpcEngine
from ..support.tls import Authority
from ..support.worker import Worker

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
BEHAVIOURS = ("well", "busy", "stall", "stall-midway", "short", "broken", "huge", *STATUSES)


@pytest.fixture(scope="module")
def engine() -> Iterator[GrpcEngine]:
    running = GrpcEngine().start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker("--engine=mock", "--ttft-ms=0", "--tokens-per-second=0", "--grpc-port=0") as running:
        yield running


@pytest.fixture(scope="module")
def gateway(engine: GrpcEngine, worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("grpc")
    upstreams: dict[str, Any] = {name: {"url": f"grpc://127.0.0.1:{engine.port}"} for name in BEHAVIOURS}
    upstreams["nobody"] = {"url": f"grpc://127.0.0.1:{free_port()}"}
    upstreams["mock"] = {"url": worker.grpc, "credential_env": "ENGINE_KEY"}
    upstreams["by-http"] = {"url": worker.url, "model": "mock"}
    upstreams["paid"] = {"url": f"grpc://127.0.0.1:{engine.port}", "credential_env": "ENGINE_KEY"}
    routes: dict[str, Any] = {name: {"strategy": "direct", "upstream": name} for name in upstreams}
    routes["stall"]["timeouts"] = {"first_byte_seconds": 3.0}  # within which the engine has to be asked
    routes["stall-midway"]["timeouts"] = {"chunk_seconds": 1.0}
    routes["well"]["timeouts"] = {"total_seconds": 90.0}
    routes["patient"] = {"strategy": "direct", "upstream": "patient"}
    upstreams["patient"] = {"url": f"grpc://127.0.0.1:{engine.port}", "model": "stall-midway"}
    files = {"all": {"upstreams": upstreams, "routes": routes}}
    env = {"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1000", "ENGINE_KEY": "engine-secret"}
    running = Gateway(folder, "--routes", str(write_routes(folder / "routes", files)), env=env).wait()
    yield running
    assert running.stop() == 0
    assert "engine-secret" not in running.log.read_text()
    assert {line["logger"] for line in running.lines()} == {"nexus.gateway"}  # every line is ours, and JSON


def events(answer: httpx.Response) -> list[Any]:
    data = [block.removeprefix("data: ") for block in answer.text.split("\n\n") if block]
    return [text if text == "[DONE]" else json.loads(text) for text in data]


def text_of(answer: httpx.Response) -> str:
    chunks = [event for event in events(answer) if isinstance(event, dict) and "choices" in event]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def test_a_whole_answer_is_openais_with_its_usage(gateway: Gateway, engine: GrpcEngine) -> None:
    answer = gateway.ask("well", max_completion_tokens=9, temperature=0.5, stop="END", seed=3)
    assert answer.status_code == 200
    document = answer.json()
    assert document["object"] == "chat.completion"
    (choice,) = document["choices"]
    assert choice["message"] == {"role": "assistant", "content": "".join(WORDS)}
    assert choice["finish_reason"] == "stop"
    assert document["usage"] == {
        "prompt_tokens": USAGE.prompt_tokens,
        "completion_tokens": USAGE.completion_tokens,
        "total_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": USAGE.cached_tokens},
    }
    asked = engine.of("well")[-1].request
    assert [(message.role, message.content[0].text) for message in asked.messages] == [("user", "hello")]
    assert (asked.sampling.max_tokens, asked.sampling.temperature, list(asked.sampling.stop)) == (9, 0.5, ["END"])
    assert asked.sampling.seed == 3
    assert not asked.sampling.HasField("top_p")


def test_a_stream_is_openais_and_ends_by_its_mark(gateway: Gateway) -> None:
    answer = gateway.ask("well", stream=True)
    assert answer.headers["content-type"] == "text/event-stream"
    told = events(answer)
    assert told[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert text_of(answer) == "".join(WORDS)
    assert [chunk["choices"][0]["finish_reason"] for chunk in told[:-1] if chunk["choices"]] == [None] * 4 + ["stop"]
    assert (told[-2]["choices"], told[-2]["usage"]["completion_tokens"]) == ([], 3)
    assert told[-1] == "[DONE]"


def test_openais_own_client_reads_answers_and_calls_of_tools(gateway: Gateway, engine: GrpcEngine) -> None:
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="dev-key", max_retries=0)
    asked: dict[str, Any] = {"model": "well", "messages": [{"role": "user", "content": "?"}], "tools": [TOOL]}
    with client:
        choice = client.chat.completions.create(**asked, tool_choice="required").choices[0]
        streamed = list(client.chat.completions.create(**asked, stream=True))
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.model_dump()["tool_calls"]
    assert (call["id"], call["function"]["name"]) == ("call_1", "weather")
    parts = [part for chunk in streamed for choice in chunk.choices for part in choice.delta.tool_calls or ()]
    assert "".join(part.function.arguments or "" for part in parts) == '{"place": "Ulm"}'
    tool = next(seen.request for seen in engine.of("well") if seen.request.tool_choice == "required").tools[0]
    assert (tool.name, json.loads(tool.parameters)) == ("weather", TOOL["function"]["parameters"])


def test_the_worker_says_the_same_by_grpc_as_by_http(gateway: Gateway) -> None:
    asked = {"max_tokens": 12, "seed": 1}
    one, other = gateway.ask("mock", **asked).json(), gateway.ask("by-http", **asked).json()
    assert one["choices"] == other["choices"]
    assert one["usage"]["total_tokens"] == other["usage"]["total_tokens"]
    assert text_of(gateway.ask("mock", stream=True, **asked)) == one["choices"][0]["message"]["content"]
    completions = [
        httpx.post(
            f"{gateway.url}/v1/completions",
            json={"model": model, "prompt": "a b c", "max_tokens": 4},
            headers={"authorization": "Bearer dev-key"},
            timeout=30,
        ).json()["choices"]
        for model in ("mock", "by-http")
    ]
    assert completions[0] == completions[1]


def test_vectors_come_as_numbers_or_as_base64(gateway: Gateway) -> None:
    head = {"authorization": "Bearer dev-key"}
    url, body = f"{gateway.url}/v1/embeddings", {"model": "well", "input": ["ab", "abcd"]}
    plain = httpx.post(url, json=body, headers=head, timeout=30).json()
    assert [one["embedding"] for one in plain["data"]] == [[0.5, 2.0], [0.5, 4.0]]
    packed = httpx.post(url, json={**body, "encoding_format": "base64"}, headers=head, timeout=30).json()
    assert struct.unpack("<2f", base64.b64decode(packed["data"][1]["embedding"])) == (0.5, 4.0)


@pytest.mark.parametrize(
    ("model", "status", "told"),
    [
        ("busy", 429, "upstream_rate_limited"),
        ("exhausted", 429, "upstream_rate_limited"),
        ("denied", 502, "upstream_failed"),
        ("internal", 502, "upstream_failed"),
        ("no-network", 502, "upstream_failed"),
        ("nobody", 502, "upstream_failed"),
        ("stall", 504, "upstream_timeout"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_of_the_engine_is_a_status(
    gateway: Gateway, engine: GrpcEngine, model: str, status: int, told: str, stream: bool
) -> None:
    answer = gateway.ask(model, stream=stream)
    assert (answer.status_code, code(answer)) == (status, told)
    if model == "busy":
        assert int(answer.headers["retry-after"]) == 7
    if model == "stall":
        until(lambda: engine.of("stall")[-1].ended == "cancelled", "the engine is told that nobody waits")


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_is_too_large_for_the_engine_is_413(gateway: Gateway, stream: bool) -> None:
    """gRPC tells it by the status of an engine that has no room, which would be asked again."""
    prompt = [{"role": "user", "content": "x" * 2 * LARGEST}]
    answer = gateway.ask("well", messages=prompt, stream=stream)
    assert answer.status_code == 413
    assert "larger than max" in answer.json()["error"]["message"]


def test_an_answer_that_is_too_large_for_the_gateway_is_the_engines_fault(gateway: Gateway) -> None:
    answer = gateway.ask("huge")
    assert (answer.status_code, code(answer)) == (502, "upstream_failed")


def test_a_refusal_by_the_engine_names_the_field(gateway: Gateway) -> None:
    refused = gateway.ask("mock", max_tokens=100_000)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "max_tokens"
    assert gateway.ask("invalid").status_code == 400


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("logprobs", True),
        ("n", 2),
        ("audio", {"voice": "x"}),
        ("temperature", "hot"),
        ("seed", -1),
        ("stop", [1]),
        ("tools", [{"type": "custom"}]),
        ("parallel_tool_calls", "yes"),
        ("tool_choice", {"type": "function"}),
        ("messages", [{"content": "no role"}]),
        ("messages", [{"role": "user", "content": [{"type": "input_audio"}]}]),
    ],
)
def test_what_the_contract_cannot_say_is_refused_by_the_fields_name(
    gateway: Gateway, engine: GrpcEngine, field: str, value: Any
) -> None:
    before = len(engine.calls)
    answer = gateway.ask("well", **{field: value})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
    assert len(engine.calls) == before


def test_a_number_that_nobody_could_count_with_says_nothing_against_the_engine(gateway: Gateway) -> None:
    body = '{"model": "well", "messages": [{"role": "user", "content": "hello"}], "seed": %s}' % ("1" * 5000)
    head = {"authorization": "Bearer dev-key", "content-type": "application/json"}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", content=body, headers=head, timeout=30)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "body")


def test_a_long_call_is_no_attack_to_a_grpc_server() -> None:
    """By its defaults a server takes a ping in five minutes; measured, 30 s ended every call after 180."""
    assert dict(OPTIONS)["grpc.keepalive_time_ms"] > 300_000


@pytest.mark.parametrize("model", ["broken", "short", "stall-midway"])
def test_a_stream_that_breaks_ends_in_an_error_and_without_the_mark(gateway: Gateway, model: str) -> None:
    told = events(gateway.ask(model, stream=True))
    assert "[DONE]" not in told
    assert set(told[-1]) == {"error"}


def test_deadline_and_metadata_are_carried_and_a_clients_own_credential_is_not(
    gateway: Gateway, engine: GrpcEngine
) -> None:
    answer = gateway.ask("well", headers={"x-request-id": "asked-7", "cookie": "a=b"})
    seen = engine.of("well")[-1]
    assert seen.seconds is not None
    assert 60 < seen.seconds < 91  # gRPC writes a deadline as a rounded time
    assert seen.metadata["x-request-id"] == answer.headers["x-request-id"] == "asked-7"
    assert seen.metadata["traceparent"].split("-")[1] == answer.headers["x-trace-id"]
    assert not {"authorization", "cookie"} & seen.metadata.keys()
    gateway.ask("paid")
    assert engine.of("paid")[-1].metadata["authorization"] == "Bearer engine-secret"


def test_a_client_that_leaves_cancels_the_engines_work(gateway: Gateway, engine: GrpcEngine) -> None:
    body = {"model": "patient", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    head = {"authorization": "Bearer dev-key"}
    before = len(engine.of("stall-midway"))
    url = f"{gateway.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=head, timeout=30) as answer:
        assert next(answer.iter_bytes())
    until(lambda: len(engine.of("stall-midway")) > before, "the engine is asked")
    until(lambda: engine.of("stall-midway")[-1].ended == "cancelled", "the engine is told that nobody waits")


def test_an_engine_that_comes_back_is_asked_again(tmp_path: Path) -> None:
    port = free_port()
    upstream = {"url": f"grpc://127.0.0.1:{port}"}
    files = {"all": {"upstreams": {"e": upstream}, "routes": {"well": {"strategy": "direct", "upstream": "e"}}}}
    env = {"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1000"}
    gateway = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", files)), env=env).wait()
    assert gateway.ask("well").status_code == 502
    engine = GrpcEngine(port=port).start()
    until(lambda: gateway.ask("well").status_code == 200, "it answers")
    engine.stop()
    until(lambda: gateway.ask("well").status_code == 502, "it is gone")
    again = GrpcEngine(port=port).start()
    until(lambda: gateway.ask("well").status_code == 200, "it answers again")
    assert gateway.stop() == 0
    again.stop()


def test_a_draining_engine_is_asked_last_where_it_is_checked(tmp_path: Path) -> None:
    draining, well = GrpcEngine(serving=False).start(), GrpcEngine().start()
    upstream = {
        "endpoints": [f"grpc://127.0.0.1:{one.port}" for one in (draining, well)],
        "health": {"interval_seconds": 0.3, "timeout_seconds": 30.0},
    }
    files = {"all": {"upstreams": {"e": upstream}, "routes": {"well": {"strategy": "direct", "upstream": "e"}}}}
    gateway = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", files))).wait()
    until(
        lambda: any("well" in line["message"] or "health" in line["message"] for line in gateway.lines()), "it is told"
    )
    before = len(draining.calls)
    assert [gateway.ask("well").status_code for _ in range(4)] == [200] * 4
    assert len(draining.calls) == before
    assert gateway.stop() == 0
    draining.stop()
    well.stop()


def test_a_check_has_a_connection_of_its_own_and_the_credential(tmp_path: Path) -> None:
    engine = GrpcEngine().start()
    upstream = {
        "url": f"grpc://127.0.0.1:{engine.port}",
        "credential_env": "ENGINE_KEY",
        "health": {"interval_seconds": 0.3, "timeout_seconds": 30.0},
    }
    files = {"all": {"upstreams": {"e": upstream}, "routes": {"well": {"strategy": "direct", "upstream": "e"}}}}
    routes = write_routes(tmp_path / "routes", files)
    gateway = Gateway(tmp_path, "--routes", str(routes), env={"ENGINE_KEY": "engine-secret"}).wait()
    assert gateway.ask("well").status_code == 200
    checked = len(engine.checks)
    until(lambda: len(engine.checks) > checked + 1, "it is checked")
    assert gateway.stop() == 0
    engine.stop()
    assert {seen.metadata.get("authorization") for seen in engine.checks} == {"Bearer engine-secret"}
    assert engine.calls[-1].peer not in {seen.peer for seen in engine.checks}


def test_tls_both_ways_and_a_stranger_is_not_asked(tmp_path: Path) -> None:
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    certificate, key = ours.certificate("engine")
    shown, shown_key = ours.certificate("gateway")
    credentials = grpc.ssl_server_credentials(
        [(key.read_bytes(), certificate.read_bytes())], ours.ca.read_bytes(), require_client_auth=True
    )
    engine = GrpcEngine(credentials=credentials).start()
    url = f"grpcs://127.0.0.1:{engine.port}"
    pair = {"certificate": str(shown), "key": str(shown_key)}
    upstreams = {
        "well": {"url": url, "tls": {"ca": str(ours.ca), **pair}},
        "stranger": {"url": url, "model": "well", "tls": {"ca": str(others.ca), **pair}},
        "nameless": {"url": url, "model": "well", "tls": {"ca": str(ours.ca)}},
    }
    routes = {name: {"strategy": "direct", "upstream": name} for name in upstreams}
    files = {"all": {"upstreams": upstreams, "routes": routes}}
    gateway = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", files))).wait()
    assert gateway.ask("well").status_code == 200
    assert [gateway.ask(name).status_code for name in ("stranger", "nameless")] == [502, 502]
    assert len(engine.calls) == 1
    assert gateway.stop() == 0
    assert {line["logger"] for line in gateway.lines()} == {"nexus.gateway"}  # gRPC's core has its own words for it
    engine.stop()


@pytest.mark.parametrize(
    ("upstream", "told"),
    [
        ({"url": "grpc://engine"}, "write grpc://host:port"),
        ({"url": "grpc://engine:1/v1"}, "write grpc://host:port"),
        ({"url": "grpc://engine:1", "tls": {"ca": "/etc/ssl/certs/ca-certificates.crt"}}, "tls is for grpcs://"),
        ({"url": "grpc://engine:1", "api_base": "http://x"}, "api_base is for litellm://"),
    ],
)
def test_an_address_that_cannot_be_asked_by_grpc_is_refused(
    tmp_path: Path, upstream: dict[str, Any], told: str
) -> None:
    files = {"all": {"upstreams": {"e": upstream}, "routes": {"chat": {"strategy": "direct", "upstream": "e"}}}}
    gateway = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", files)))
    assert gateway.process.wait(60) != 0
    assert told in gateway.log.read_text()
