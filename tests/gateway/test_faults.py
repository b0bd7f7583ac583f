"""What a client is told when the engine misbehaves, and what the engine is told when the client leaves."""

from __future__ import annotations

import json
import re
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from ..support.gateway import Gateway, code, direct, posted, until, write_routes
from ..support.upstream import Engine

BEFORE = [
    ("nobody", 502, "upstream_failed"),
    ("close", 502, "upstream_failed"),
    ("garbage", 502, "upstream_failed"),
    ("big-head", 502, "upstream_failed"),
    ("no-json", 502, "upstream_failed"),
    ("500", 502, "upstream_failed"),
    ("401", 502, "upstream_failed"),
    ("redirect", 502, "upstream_failed"),
    ("stall", 504, "upstream_timeout"),
    ("deaf", 504, "upstream_timeout"),
    ("429", 429, "upstream_rate_limited"),
]


@pytest.mark.parametrize(("model", "status", "said"), BEFORE, ids=[row[0] for row in BEFORE])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_fault_before_the_first_byte_is_a_status(
    gateway: Gateway, model: str, status: int, said: str, stream: bool
) -> None:
    answer = gateway.ask(model, stream=stream)
    assert (answer.status_code, code(answer)) == (status, said)
    assert "10.1.2.3" not in answer.text, "the engine's own words are not for clients"
    assert answer.headers["x-nexus-route"] == model


def test_retry_after_of_an_engine_is_clamped(gateway: Gateway) -> None:
    assert gateway.ask("429").headers["retry-after"] == "3600"


def test_a_bad_request_by_the_engine_s_word_is_the_client_s_to_read(gateway: Gateway) -> None:
    answer = gateway.ask("400")
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "status 400 from 10.1.2.3")


def test_an_error_event_before_any_text_is_a_status(gateway: Gateway) -> None:
    answer = gateway.ask("error-event", stream=True)
    assert (answer.status_code, code(answer)) == (502, "upstream_failed")


@pytest.mark.parametrize("model", ["reset", "short", "late-error-event", "stall-midway"])
def test_a_fault_after_the_first_byte_is_one_terminal_event_and_no_done(gateway: Gateway, model: str) -> None:
    before = _calls(gateway, model)
    answer = gateway.ask(model, stream=True)
    events = [line.removeprefix("data: ") for line in answer.text.split("\n") if line.startswith("data: ")]
    errors = [json.loads(event) for event in events if '"error"' in event and "stream_broken" in event]
    assert answer.status_code == 200
    assert len(errors) == 1
    assert json.loads(events[-1]) == errors[0]
    assert "[DONE]" not in answer.text
    assert _calls(gateway, model) - before == {"error": 1}, "not the 200 with which the engine began"


def _calls(gateway: Gateway, model: str) -> Counter[str]:
    """Of the model's engine, by their status."""
    metrics = gateway.get("/metrics", key=None).text
    told = re.findall(rf'gateway_upstream_requests_total{{status="(.+)",upstream="{model}-1"}} (.+)', metrics)
    return Counter({status: int(float(count)) for status, count in told})


def test_bytes_one_at_a_time_are_the_same_answer_and_nothing_follows_done(gateway: Gateway) -> None:
    text = gateway.ask("split", stream=True).text
    assert text.startswith(": hello\r\n\r\ndata: ")
    assert text.endswith("data: [DONE]\r\n\r\n")
    assert [word in text for word in ("one ", "two ", "three", "after the end")] == [True, True, True, False]


@pytest.mark.parametrize(("model", "stream"), [("patient", True), ("waiting", True), ("waiting", False)])
def test_a_client_that_leaves_cuts_the_engine_off(gateway: Gateway, engine: Engine, model: str, stream: bool) -> None:
    behaviour = {"patient": "stall-midway", "waiting": "stall"}[model]
    before = len(engine.of(behaviour))
    body = json.dumps({"model": model, "stream": stream, "messages": []}).encode()
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(posted(body))
        seen = until(lambda: engine.of(behaviour)[before:], "the engine is asked")[0]
        if model == "patient":
            assert client.recv(100)
    assert seen.cut_off.wait(30), "the engine works on for nobody"


def test_a_client_that_does_not_read_stops_the_engine_s_sending(gateway: Gateway, engine: Engine) -> None:
    """The engine has 64 MiB to say; what neither side's buffers hold must stay with it."""
    body = b'{"model": "flood", "stream": true, "messages": []}'
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.sendall(posted(body))
        assert client.recv(100)
        rss = _rss(gateway)
        assert gateway.ask("ok").status_code == 200, "others are served meanwhile"
        assert _rss(gateway) - rss < 16 << 20
    seen = until(lambda: engine.of("flood"), "the engine is asked")[-1]
    assert seen.cut_off.wait(30)


def _rss(gateway: Gateway) -> int:
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmRSS"))


def test_a_client_that_leaves_takes_no_other_request_with_it(gateway: Gateway, engine: Engine) -> None:
    """The engine has said all to the first client, which does not read on; its connection carries another's call."""
    engine.gate.clear()
    asked = len(engine.of("gated"))
    body = b'{"model": "gated", "bytes": 8000000}'
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", gateway.port))
    slow.sendall(posted(body))
    assert slow.recv(100).startswith(b"HTTP/1.1 200")
    before = engine.connections
    with ThreadPoolExecutor() as pool:
        other = pool.submit(gateway.ask, "gated", wait=True)
        until(lambda: len(engine.of("gated")) == asked + 2, "the second call is with the engine")
        assert engine.connections == before, "it is on the first one's connection"
        slow.close()
        for _ in range(3):  # the gateway's loop sees the first client's leaving before it sees these
            assert gateway.ask("ok").status_code == 200
        engine.gate.set()
        assert other.result(20).status_code == 200
    assert len(engine.of("gated")) == asked + 2, "it was not cut off and asked again"


def test_an_answer_that_nobody_asked_for_ends_its_connection(gateway: Gateway, engine: Engine) -> None:
    engine.gate.clear()
    assert gateway.ask("unasked").status_code == 200
    engine.gate.set()
    assert engine.of("unasked")[-1].cut_off.wait(30), "nobody can be given what comes unasked"


def test_comments_without_end_are_no_beginning(gateway: Gateway) -> None:
    answer = gateway.ask("comments", stream=True)
    assert (answer.status_code, code(answer)) == (504, "upstream_timeout")


def test_bytes_without_end_are_ended_by_the_deadline_of_the_whole(gateway: Gateway, engine: Engine) -> None:
    """The client takes nothing, so the engine stays busy: the deadline frees it."""
    before = len(engine.of("flood"))
    body = b'{"model": "endless", "stream": true}'
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(posted(body))
        seen = until(lambda: engine.of("flood")[before:], "the engine is asked")[0]
        assert seen.cut_off.wait(30), "the client still holds its connection, and the engine is free"


def test_a_pooled_connection_that_the_engine_closed_is_replaced_unseen(tmp_path: Path) -> None:
    engine = Engine().start()
    gateway = Gateway(
        tmp_path, "--routes", str(write_routes(tmp_path / "r", {"chat": direct("chat", engine.url("ok"))}))
    )
    gateway.wait()
    assert gateway.ask().status_code == 200
    assert gateway.ask().status_code == 200
    assert engine.connections == 1, "one connection carries both"
    port = engine.port
    engine.stop()
    assert gateway.ask().status_code == 502
    assert port
    assert gateway.stop() == 0


def sick(folder: Path, engine: Engine, reset_seconds: float) -> Gateway:
    """Before an engine that has failed so often that its circuit is open."""
    env = {"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "2", "GATEWAY_CIRCUIT_BREAKER_RESET_SECONDS": f"{reset_seconds:g}"}
    files = {"sick": direct("sick", engine.url("500")), "chat": direct("chat", engine.url("ok"))}
    gateway = Gateway(folder, "--routes", str(write_routes(folder / "routes", files)), env=env).wait()
    assert [gateway.ask("sick").status_code for _ in range(2)] == [502, 502]
    return gateway


def test_the_breaker_opens_and_leaves_the_engine_alone(tmp_path: Path, engine: Engine) -> None:
    gateway = sick(tmp_path, engine, reset_seconds=3600)
    asked = len(engine.of("500"))
    refused = gateway.ask("sick")
    assert (refused.status_code, code(refused)) == (503, "circuit_open")
    assert 3500 < int(refused.headers["retry-after"]) <= 3600
    assert len(engine.of("500")) == asked
    assert gateway.get("/v1/circuit-breakers").json()["sick-1"]["state"] == "open"
    assert gateway.ask("chat").status_code == 200
    assert gateway.stop() == 0


def test_the_breaker_closes_again_by_a_probe(tmp_path: Path, engine: Engine) -> None:
    gateway = sick(tmp_path, engine, reset_seconds=0.5)
    write_routes(tmp_path / "routes", {"sick": direct("sick", engine.url("ok"))})
    until(lambda: gateway.ask("sick").status_code == 200, "a probe closes the circuit")
    assert gateway.get("/v1/circuit-breakers").json()["sick-1"]["state"] == "closed"
    assert "gateway_circuit_open_total" in gateway.get("/metrics").text
    assert gateway.stop() == 0


def test_a_4xx_never_opens_the_circuit(tmp_path: Path, engine: Engine) -> None:
    env = {"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1"}
    routes = write_routes(tmp_path / "routes", {"chat": direct("chat", engine.url("400"))})
    gateway = Gateway(tmp_path, "--routes", str(routes), env=env).wait()
    assert [gateway.ask().status_code for _ in range(3)] == [400, 400, 400]
    assert gateway.stop() == 0


def test_sigterm_finishes_answers_that_are_under_way(tmp_path: Path, engine: Engine) -> None:
    routes = write_routes(tmp_path / "routes", {"slow": direct("slow", "mock://slow?ttft=0.2&itl=0.2", None)})
    gateway = Gateway(tmp_path, "--routes", str(routes)).wait()
    body = {"model": "slow", "stream": True, "messages": []}
    headers = {"authorization": "Bearer dev-key"}
    url = f"{gateway.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=30) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("data: ")
        gateway.process.terminate()
        assert [line for line in lines if line][-1] == "data: [DONE]"
    assert gateway.process.wait(30) == 0
