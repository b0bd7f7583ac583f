"""Every API that engines speak: bytes go through untouched, and each has its own end, bounds and errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from nexus_gateway.keys import digest

from ..support.gateway import PLAIN, Gateway, write_routes
from ..support.spoken import ASKED, END, STREAMS
from ..support.upstream import Engine

PATHS = sorted(ASKED)
DIRECT = {"strategy": "direct", "upstream": "m"}
KEEPER = "keeper-key"
"""Of whoever is answered by nobody: what another has used is free again bit by bit in the minute after it."""


@pytest.fixture(scope="module")
def surfaces(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("surfaces")
    behaviours = ("spoken", "spoken-short", "spoken-error", "spoken-late", "no-such-path", "501")
    upstreams: dict[str, Any] = {name: {"url": engine.url(name)} for name in behaviours}
    upstreams["chat-only"] = {"url": engine.url("spoken"), "apis": ["chat"]}
    upstreams["mock"] = {"url": "mock://local"}
    routes: dict[str, Any] = {name: {"strategy": "direct", "upstream": name} for name in upstreams}
    routes["from-chat-only"] = {"strategy": "direct", "upstream": "chat-only", "fallbacks": ["spoken"]}
    routes["from-no-such-path"] = {"strategy": "direct", "upstream": "no-such-path", "fallbacks": ["spoken"]}
    policy = {"max_tokens": 50, "tokens_per_minute": 1_000_000}
    policies = {"dev-key": policy, f"env-{digest(KEEPER.encode()).hex()[:8]}": policy}
    document = {"upstreams": upstreams, "routes": routes, "policies": policies}
    many = {"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "100000", "GATEWAY_API_KEYS": f"dev-key,{KEEPER}"}
    running = Gateway(folder, "--routes", str(write_routes(folder / "routes", {"all": document})), env=many).wait()
    yield running
    assert running.stop() == 0


def ask(gateway: Gateway, path: str, model: str, *, key: str = "dev-key", **more: Any) -> httpx.Response:
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01", "cookie": "c=1"}
    return httpx.post(
        gateway.url + path, json={"model": model, **ASKED[path], **more}, headers=headers, timeout=30, verify=PLAIN
    )


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_comes_as_the_engine_gave_it_under_the_same_path(
    surfaces: Gateway, engine: Engine, path: str
) -> None:
    answer = ask(surfaces, path, "spoken")
    seen = engine.of("spoken")[-1]
    assert answer.status_code == 200
    assert answer.content == seen.answered
    assert answer.headers["x-nexus-route"] == "spoken"
    assert seen.path == path
    assert "cookie" not in seen.headers
    assert "x-api-key" not in seen.headers
    assert ("anthropic-version" in seen.headers) is path.startswith("/v1/messages")


@pytest.mark.parametrize("path", STREAMS)
def test_a_stream_ends_with_its_own_end_mark_and_its_bytes_are_untouched(
    surfaces: Gateway, engine: Engine, path: str
) -> None:
    answer = ask(surfaces, path, "spoken", stream=True)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.content == engine.of("spoken")[-1].answered
    assert END[path] in answer.text.strip().splitlines()[-1]


@pytest.mark.parametrize("path", STREAMS)
def test_a_stream_without_its_end_mark_ends_with_an_error_that_the_api_s_clients_know(
    surfaces: Gateway, path: str
) -> None:
    answer = ask(surfaces, path, "spoken-short", stream=True)
    *_, name, data = answer.text.strip().splitlines()
    error = json.loads(data.removeprefix("data: "))
    assert END[path] not in answer.text
    if path == "/v1/messages":
        assert (name, error["type"], error["error"]["type"]) == ("event: error", "error", "api_error")
        assert error["error"]["code"] == "stream_broken"
    elif path == "/v1/responses":
        assert (name, error["type"], error["code"]) == ("event: error", "error", "stream_broken")
    else:
        assert (name, error["error"]["code"]) == ("", "stream_broken")


@pytest.mark.parametrize("path", STREAMS)
def test_an_error_that_the_engine_reports_first_is_a_502_and_later_an_error_event_without_its_text(
    surfaces: Gateway, path: str
) -> None:
    first = ask(surfaces, path, "spoken-error", stream=True)
    assert first.status_code == 502
    later = ask(surfaces, path, "spoken-late", stream=True)
    assert later.status_code == 200
    assert "stream_broken" in later.text
    assert "10.1.2.3" not in first.text + later.text


@pytest.mark.parametrize("path", [path for path in PATHS if path not in STREAMS])
def test_what_does_not_stream_is_answered_whole_even_where_a_stream_is_asked_for(surfaces: Gateway, path: str) -> None:
    answer = ask(surfaces, path, "spoken", stream=True)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


def test_errors_under_messages_have_the_shape_that_anthropic_s_clients_know(surfaces: Gateway) -> None:
    answer = ask(surfaces, "/v1/messages", "none")
    told = answer.json()
    assert (answer.status_code, told["type"], told["error"]["type"]) == (404, "error", "not_found_error")
    assert told["error"]["code"] == "model_not_found"
    assert told["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/chat/completions", "max_tokens"),
        ("/v1/chat/completions", "max_completion_tokens"),
        ("/v1/completions", "max_tokens"),
        ("/v1/responses", "max_output_tokens"),
        ("/v1/messages", "max_tokens"),
    ],
)
def test_a_policy_bounds_the_answer_in_each_api_s_own_field(
    surfaces: Gateway, engine: Engine, path: str, field: str
) -> None:
    assert ask(surfaces, path, "spoken", **{field: 51}).json()["error"]["code"] == "too_many_tokens"
    assert ask(surfaces, path, "spoken", **{field: 50}).status_code == 200
    assert ask(surfaces, path, "spoken", **{field: None}).status_code == 200
    sent = json.loads(engine.of("spoken")[-1].body)
    written = "max_tokens" if "chat" in path else field
    assert (sent[written], sent.get("max_completion_tokens")) == (50, None)


def test_a_bound_in_a_field_of_another_api_is_none(surfaces: Gateway, engine: Engine) -> None:
    assert ask(surfaces, "/v1/responses", "spoken", max_tokens=1).status_code == 200
    assert json.loads(engine.of("spoken")[-1].body)["max_output_tokens"] == 50


@pytest.mark.parametrize(
    ("path", "more", "kept"),
    [
        ("/v1/chat/completions", {"max_tokens": 10}, 10),
        ("/v1/chat/completions", {"max_tokens": 10, "n": 3}, 30),
        ("/v1/completions", {"max_tokens": 10, "prompt": ["a", "b"], "n": 2}, 40),
        ("/v1/completions", {"max_tokens": 10, "n": 2, "best_of": 5}, 50),
        ("/v1/completions", {"max_tokens": 10, "n": 3, "best_of": None}, 30),
        ("/v1/completions", {"max_tokens": 10, "prompt": [1, 2, 3]}, 10),
        ("/v1/completions", {"max_tokens": 10, "prompt": [[1], [2], [3]]}, 30),
        ("/v1/responses", {"max_output_tokens": 10}, 10),
        ("/v1/embeddings", {"max_tokens": 10}, 0),
        ("/v1/rerank", {}, 0),
        ("/v1/messages/count_tokens", {}, 0),
    ],
)
def test_tokens_are_kept_free_for_every_answer_that_is_asked_for(
    surfaces: Gateway, path: str, more: dict[str, Any], kept: int
) -> None:
    """The engine here refuses, so that what was kept free is still in the headers and comes back afterwards."""
    body = json.dumps({"model": "501", **ASKED[path], **more}).encode()
    headers = {"x-api-key": KEEPER, "content-type": "application/json"}

    def left() -> int:
        answer = httpx.post(surfaces.url + path, content=body, headers=headers, timeout=30, verify=PLAIN)
        assert answer.json()["error"]["code"] == "api_not_served"
        return int(answer.headers["x-ratelimit-remaining-tokens"])

    first, second = left(), left()
    assert first == second, "what no engine has answered costs nothing"
    before = int(ask(surfaces, "/v1/rerank", "none", key=KEEPER).headers.get("x-ratelimit-remaining-tokens", 0))
    assert before == 0, "a model that is not there is refused before any limit"
    whole = ask(surfaces, "/v1/rerank", "501", key=KEEPER).headers["x-ratelimit-remaining-tokens"]
    rerank = len(json.dumps({"model": "501", **ASKED["/v1/rerank"]}, separators=(",", ":"))) // 4
    assert int(whole) + rerank - first == len(body) // 4 + kept


@pytest.mark.parametrize("model", ["no-such-path", "501"])
def test_an_engine_that_lacks_the_path_is_404_api_not_served_and_not_ill(surfaces: Gateway, model: str) -> None:
    for _ in range(3):
        answer = ask(surfaces, "/v1/responses", model)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "api_not_served")
    assert surfaces.get("/v1/circuit-breakers").json()[model]["failures"] == 0


def test_an_engine_that_is_said_not_to_speak_it_is_not_asked(surfaces: Gateway, engine: Engine) -> None:
    asked = len(engine.seen)
    answer = ask(surfaces, "/v1/embeddings", "chat-only")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "api_not_served")
    assert len(engine.seen) == asked
    assert ask(surfaces, "/v1/chat/completions", "chat-only").status_code == 200


@pytest.mark.parametrize("model", ["from-chat-only", "from-no-such-path"])
def test_a_fallback_that_speaks_it_answers(surfaces: Gateway, model: str) -> None:
    answer = ask(surfaces, "/v1/responses", model)
    assert (answer.status_code, answer.headers["x-fallback-model"]) == (200, "spoken")


def test_a_model_is_renamed_for_the_fallback_under_every_path(surfaces: Gateway, engine: Engine) -> None:
    ask(surfaces, "/v1/embeddings", "from-chat-only")
    assert json.loads(engine.of("spoken")[-1].body)["model"] == "spoken"


def test_usage_is_counted_by_each_api_s_own_names(engine: Engine, tmp_path: Path) -> None:
    document = {"upstreams": {"m": {"url": engine.url("spoken")}}, "routes": {"m": DIRECT}}
    gateway = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", {"all": document}))).wait()
    asked = [(path, stream) for path in PATHS for stream in ([False, True] if path in STREAMS else [False])]
    assert {ask(gateway, path, "m", stream=stream).status_code for path, stream in asked} == {200}
    assert gateway.stop() == 0
    no_answer = {"/v1/embeddings": (7, 0), "/v1/rerank": (7, 0), "/v1/messages/count_tokens": (0, 0)}
    lines = [line for line in gateway.lines() if line["message"] == "request" and line["path"] in PATHS]
    assert [(line["path"], line["prompt_tokens"], line["completion_tokens"]) for line in lines] == [
        (path, *no_answer.get(path, (7, 3))) for path, _ in asked
    ]


def test_a_conversation_stays_with_one_release_under_every_path(engine: Engine, tmp_path: Path) -> None:
    upstreams = {name: {"url": engine.url("spoken"), "release": name * 64} for name in ("a", "b")}
    targets = [{"upstream": "a", "weight": 50}, {"upstream": "b", "weight": 50}]
    document = {"upstreams": upstreams, "routes": {"m": {"strategy": "weighted", "targets": targets}}}
    gateway = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", {"all": document}))).wait()
    for path in STREAMS:
        speakers: list[dict[str, Any]] = [
            {"metadata": {"user_id": f"u{n}"}} if path == "/v1/messages" else {"user": f"u{n}"} for n in range(12)
        ]
        found = [{ask(gateway, path, "m", **who).headers["x-nexus-release"] for _ in range(3)} for who in speakers]
        assert {len(releases) for releases in found} == {1}
        assert set.union(*found) == {"a" * 64, "b" * 64}
    assert gateway.stop() == 0
