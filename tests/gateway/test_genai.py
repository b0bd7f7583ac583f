"""The words that spans use are OpenTelemetry's own, and say what the record says."""

from __future__ import annotations

import importlib
import inspect
import warnings
from pathlib import Path

import pytest

from nexus_gateway.telemetry import genai
from nexus_gateway.telemetry.gaps import Gaps
from nexus_gateway.telemetry.record import RequestRecord, Try


def record(**given: object) -> RequestRecord:
    made = RequestRecord("POST", "/v1/chat/completions", "203.0.113.77", 10.0)
    full: dict[str, object] = {
        "request_id": "r", "trace_id": "1" * 32, "span_id": "2" * 16, "status": 200, "key_id": "team-a",
        "route": "chat", "model": "chat", "release": "a" * 64, "revision": "b" * 64, "stream": True,
        "first_byte": 10.5, "ended": 12.0, "prompt_tokens": 7, "completion_tokens": 3, "cached_tokens": 5,
        "gaps": Gaps(), "tries": [called()],
    }  # fmt: skip
    for name, value in (full | given).items():
        setattr(made, name, value)
    return made


def called(**given: object) -> Try:
    made = Try("chat-1", 10.1, "3" * 16, "https://engine.example/v0", "weights", "chat", "a" * 64, "200", 11.9)
    for name, value in given.items():
        setattr(made, name, value)
    return made


def conventions() -> set[str]:
    """Every attribute that the installed package has a constant for."""
    import opentelemetry.semconv as semconv

    (folder,) = map(Path, semconv.__path__)
    files = (path.relative_to(folder).with_suffix("") for path in folder.rglob("*_attributes.py"))
    names = [".".join(("opentelemetry.semconv", *file.parts)) for file in files]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the GenAI part says that it moved to a repository of its own
        modules = [importlib.import_module(name) for name in names]
    return {value for module in modules for name, value in inspect.getmembers(module) if name.isupper()}


def test_no_name_is_invented() -> None:
    known = conventions()
    assert {"gen_ai.operation.name", "server.address", "error.type"} <= known
    failing = record(status=502, code="upstream_failed", tries=[called(failure="upstream_failed"), called()])
    used = {*genai.request_attributes(failing), *genai.try_attributes(failing, 0), *genai.try_attributes(failing, 1)}
    assert len(used) > 25
    assert {name for name in used if not name.startswith("nexus.")} <= known


def test_the_values_that_the_conventions_list_are_theirs() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

        operations = {one.value for one in gen_ai_attributes.GenAiOperationNameValues}
        providers = {one.value for one in gen_ai_attributes.GenAiProviderNameValues}
    assert set(genai.OPERATIONS.values()) <= operations
    assert {*genai.PROVIDERS.values(), "openai"} <= providers


def test_a_whole_request_is_told() -> None:
    attributes = genai.request_attributes(record())
    assert attributes["gen_ai.response.time_to_first_chunk"] == 0.5
    assert attributes["client.address"] == "203.0.113.0"
    assert (attributes["nexus.release"], attributes["nexus.revision"]) == ("a" * 64, "b" * 64)
    assert "error.type" not in attributes
    assert genai.request_name(record()) == "POST /v1/chat/completions"


def test_what_is_not_known_is_left_out() -> None:
    refused = RequestRecord("POST", "/v1/rerank", "unix", 1.0, status=401, code="invalid_api_key")
    assert genai.request_attributes(refused) == {
        "http.request.method": "POST",
        "http.route": "/v1/rerank",
        "http.response.status_code": 401,
        "gen_ai.provider.name": "openai",
        "gen_ai.request.stream": False,
        "nexus.code": "invalid_api_key",
        "nexus.tries": 0,
    }


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://engine.example/v0", "engine.example", 443),
        ("http://10.0.0.7:8001", "10.0.0.7", 8001),
        ("http://[2001:db8::1]:80", "2001:db8::1", 80),
        ("mock://local", "local", None),
    ],
)
def test_a_call_names_the_endpoint_s_address(url: str, host: str, port: int | None) -> None:
    attributes = genai.try_attributes(record(tries=[called(url=url)]), 0)
    assert (attributes["server.address"], attributes.get("server.port")) == (host, port)
    assert (attributes["gen_ai.request.model"], attributes["nexus.upstream"]) == ("weights", "chat-1")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, None),
        ({"status": "422"}, "422"),
        ({"status": "429", "failure": "upstream_rate_limited"}, "upstream_rate_limited"),
        ({"status": "error", "failure": "upstream_timeout"}, "upstream_timeout"),
        ({"status": "cancelled"}, "cancelled"),
    ],
)
def test_a_call_s_error_is_the_condition_or_the_engine_s_refusal(given: dict[str, object], error: str | None) -> None:
    assert genai.try_attributes(record(tries=[called(**given)]), 0).get("error.type") == error


@pytest.mark.parametrize(
    ("status", "code", "first_byte", "failed"),
    [(200, "", 1.0, False), (404, "model_not_found", 0.0, False), (499, "", 0.0, False),
     (502, "upstream_failed", 0.0, True), (200, "stream_broken", 1.0, True)],
)  # fmt: skip
def test_a_request_has_failed_where_the_fault_is_not_the_client_s(
    status: int, code: str, first_byte: float, failed: bool
) -> None:
    assert genai.failed(record(status=status, code=code, first_byte=first_byte)) is failed
