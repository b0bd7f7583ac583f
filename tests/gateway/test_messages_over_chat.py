"""The Messages API in front of an engine that speaks chat alone, through the gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ..support.gateway import PLAIN, RELEASE, Gateway, until, write_routes
from ..support.upstream import USAGE, WORDS, Engine

CALLS = ("call-of-nothing", "call-of-no-json", "call-too-deep")
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def chatting(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("messages")
    names = ("ok", "400", "500", "reset", "short", "late-error-event", "split", "no-json", "no-such-path", "spoken")
    names += ("complaint-text", "complaint-object", "given-up", "404", "no-count", *CALLS)
    upstreams: dict[str, Any] = {
        name: {"url": engine.url(name), "release": RELEASE, "apis": ["chat", "completions"]} for name in names
    }
    upstreams["deaf"] = {"url": engine.url("ok"), "apis": ["embeddings"]}
    routes = {name: {"strategy": "direct", "upstream": name} for name in upstreams}
    routes["from-500"] = {"strategy": "direct", "upstream": "500", "fallbacks": ["ok"]}
    policies = {"dev-key": {"max_tokens": 1000}}
    many = {"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "100000"}
    files = {"all": {"upstreams": upstreams, "routes": routes, "policies": policies}}
    running = Gateway(folder, "--routes", str(write_routes(folder / "routes", files)), env=many).wait()
    yield running
    assert running.stop() == 0


def ask(gateway: Gateway, model: str, path: str = "/v1/messages", **more: Any) -> httpx.Response:
    document = {"model": model, "max_tokens": 64, "messages": HELLO, **more}
    return httpx.post(gateway.url + path, json=document, headers={"x-api-key": "dev-key"}, timeout=30, verify=PLAIN)


def told(answer: httpx.Response) -> list[dict[str, Any]]:
    blocks = [block for block in answer.text.split("\n\n") if block.strip()]
    return [json.loads(block.split("data: ", 1)[1]) for block in blocks]


def test_a_whole_answer_is_a_message_with_its_provenance(chatting: Gateway, engine: Engine) -> None:
    answer = ask(chatting, "ok", system="be brief", temperature=0.5)
    message = answer.json()
    assert (answer.status_code, answer.headers["x-nexus-release"]) == (200, RELEASE)
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert message["content"] == [{"type": "text", "text": "".join(WORDS)}]
    assert message["usage"]["input_tokens"] == USAGE["prompt_tokens"]
    seen = engine.of("ok")[-1]
    assert seen.path == "/v1/chat/completions"
    sent = json.loads(seen.body)
    assert (sent["messages"][0], sent["temperature"]) == ({"role": "system", "content": "be brief"}, 0.5)


@pytest.mark.parametrize("model", ["ok", "split"])
def test_a_stream_comes_word_by_word_and_ends_with_its_own_mark(chatting: Gateway, model: str) -> None:
    answer = ask(chatting, model, stream=True)
    events = told(answer)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
    texts = [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]
    assert texts == list(WORDS)
    assert (events[0]["type"], events[-1]["type"]) == ("message_start", "message_stop")


@pytest.mark.parametrize("model", ["reset", "short", "late-error-event", "given-up"])
def test_a_chat_that_breaks_off_ends_with_an_error_and_without_the_mark(chatting: Gateway, model: str) -> None:
    answer = ask(chatting, model, stream=True)
    events = told(answer)
    assert answer.status_code == 200
    assert (events[-1]["type"], events[-1]["error"]["code"]) == ("error", "stream_broken")
    assert "message_stop" not in answer.text
    assert "10.1.2.3" not in answer.text


def test_what_has_no_counterpart_is_400_before_any_engine_is_asked(chatting: Gateway, engine: Engine) -> None:
    asked = len(engine.seen)
    answer = ask(chatting, "ok", messages=[{"role": "user", "content": [{"type": "document", "source": {}}]}])
    error = answer.json()
    assert (answer.status_code, error["type"], error["error"]["type"]) == (400, "error", "invalid_request_error")
    assert "messages[0].content[0]" in error["error"]["message"]
    assert len(engine.seen) == asked
    assert chatting.get("/v1/circuit-breakers").json()["ok"]["failures"] == 0


def test_no_field_of_chat_s_own_gets_past_the_key_s_limit(chatting: Gateway, engine: Engine) -> None:
    asked = len(engine.seen)
    assert ask(chatting, "ok", max_tokens=1001).json()["error"]["code"] == "too_many_tokens"
    answer = ask(chatting, "ok", max_tokens=1000, max_completion_tokens=100_000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_body")
    assert answer.json()["error"]["message"].startswith("max_completion_tokens: ")
    assert len(engine.seen) == asked


@pytest.mark.parametrize("model", ["400", "complaint-text", "complaint-object"])
def test_the_engine_s_own_complaint_has_the_shape_that_anthropic_s_clients_know(chatting: Gateway, model: str) -> None:
    answer = ask(chatting, model)
    told = answer.json()
    assert (answer.status_code, told["type"], told["request_id"]) == (400, "error", answer.headers["x-request-id"])
    assert told["error"] == {"type": "invalid_request_error", "message": told["error"]["message"]}
    assert told["error"]["message"] in ("status 400 from 10.1.2.3", "too long")


@pytest.mark.parametrize("model", ["no-json", "500", "given-up"])
def test_an_engine_that_fails_is_502(chatting: Gateway, model: str) -> None:
    assert ask(chatting, model).status_code == 502
    assert chatting.get("/v1/circuit-breakers").json()[model]["failures"] > 0


@pytest.mark.parametrize("model", [*CALLS, "no-count"])
def test_what_cannot_be_told_in_the_api_says_nothing_against_the_engine(chatting: Gateway, model: str) -> None:
    answer = ask(chatting, model, "/v1/messages/count_tokens" if model == "no-count" else "/v1/messages")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed")
    assert chatting.get("/v1/circuit-breakers").json()[model]["failures"] == 0


def test_a_fallback_answers_in_the_same_api(chatting: Gateway) -> None:
    answer = ask(chatting, "from-500")
    assert (answer.status_code, answer.headers["x-fallback-model"], answer.json()["type"]) == (200, "ok", "message")


def test_tokens_are_counted_by_vllm_s_own_way(chatting: Gateway, engine: Engine) -> None:
    answer = ask(chatting, "spoken", "/v1/messages/count_tokens", system="be brief")
    assert (answer.status_code, answer.json()) == (200, {"input_tokens": 7})
    assert engine.of("spoken")[-1].path == "/tokenize"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_an_engine_that_lacks_the_path_or_speaks_neither_is_404(chatting: Gateway, path: str) -> None:
    for model in ("no-such-path", "deaf"):
        answer = ask(chatting, model, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "api_not_served")


def test_an_engine_whose_404_has_an_envelope_counts_no_tokens_either(chatting: Gateway) -> None:
    answer = ask(chatting, "404", "/v1/messages/count_tokens")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "api_not_served")
    assert chatting.get("/v1/circuit-breakers").json()["404"]["failures"] == 0
    assert ask(chatting, "404").json()["error"]["message"] == "status 404 from 10.1.2.3"


def test_usage_is_counted_as_of_any_answer(chatting: Gateway) -> None:
    ids = [ask(chatting, "ok", stream=stream).headers["x-request-id"] for stream in (False, True)]

    def found() -> list[dict[str, Any]]:
        return [line for line in chatting.lines() if line.get("request_id") in ids]

    lines = until(lambda: found() if len(found()) == 2 else None, "both are logged")
    assert {(line["prompt_tokens"], line["completion_tokens"]) for line in lines} == {(7, 3)}
