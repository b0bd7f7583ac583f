"""Hosted providers by the library litellm: their answers, refusals and faults, and what the library must not do."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from nexus_gateway.upstreams.providers import PROVIDERS

from ..support import hosted
from ..support.client import installed
from ..support.gateway import BIN, Gateway, code, until, write_routes
from ..support.repository import ROOT
from ..support.upstream import Engine

LITELLM = ROOT / ".venv-litellm" / "bin"
KEY, DECOY = "hosted-secret-key", "decoy-secret-key"
BEHAVIOURS = ("hosted", "short", "reset", "stall", "stall-midway", "429", "400", "401", "500", "redirect",
              "close", "late-error-event", "no-json", "big-head")  # fmt: skip
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


def upstream(api_base: str, provider: str = "openai") -> dict[str, Any]:
    return {"url": f"litellm://{provider}/m-1", "api_base": api_base, "credential_env": "HOSTED_KEY"}


def routes_of(folder: Path, upstreams: dict[str, Any]) -> str:
    routes: dict[str, Any] = {name: {"strategy": "direct", "upstream": name} for name in upstreams}
    routes.get("stall", {})["timeouts"] = {"first_byte_seconds": 4.0}  # within which the provider has to be asked
    routes.get("stall-midway", {})["timeouts"] = {"chunk_seconds": 1.0}
    return str(write_routes(folder / "routes", {"all": {"upstreams": upstreams, "routes": routes}}))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """The provider's; its own, for a request of the library has none of a gateway's headers."""
    running = Engine().start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def trap() -> Iterator[Engine]:
    """Where the environment leads, and nobody may go."""
    running = Engine().start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def claude(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Speaks Anthropic's API: our own mock does."""
    folder = tmp_path_factory.mktemp("claude")
    running = Gateway(folder, env={"GATEWAY_UPSTREAMS": "m-1=mock://local"}).wait()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def gateway(
    engine: Engine, trap: Engine, claude: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    installed(LITELLM, "setup-litellm")
    folder = tmp_path_factory.mktemp("hosted")
    upstreams = {name: upstream(engine.url(name)) for name in BEHAVIOURS}
    upstreams |= {name: upstream(engine.url("401"), name) for name in PROVIDERS}
    upstreams |= {f"closing-{name}": upstream(engine.url("close"), name) for name in PROVIDERS}
    upstreams |= {"spoken": upstream(engine.url("spoken/v1")), "nobody": upstream("http://127.0.0.1:1")}
    upstreams["claude"] = {**upstream(claude.url, "anthropic"), "credential_env": "CLAUDE_KEY"}
    upstreams |= {"patient": upstream(engine.url("stall-midway")), "waiting": upstream(engine.url("stall"))}
    away = trap.url("hosted")
    decoys = {f"{name.upper()}_{what}": away for name in PROVIDERS for what in ("API_BASE", "BASE_URL")}
    decoys |= {f"{name.upper()}_API_KEY": DECOY for name in PROVIDERS}
    decoys |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"), away)
    decoys |= {"LITELLM_LOG": "DEBUG", "LITELLM_MODEL_COST_MAP_URL": away, "OPENAI_ORGANIZATION": DECOY, "NO_PROXY": ""}
    patient = {"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1000", "GATEWAY_REQUEST_TIMEOUT_SECONDS": "60"}
    running = Gateway(
        folder,
        "--routes",
        routes_of(folder, upstreams),
        env={**decoys, **patient, "HOSTED_KEY": KEY, "CLAUDE_KEY": "dev-key"},
        bin_folder=LITELLM,
    ).wait(90)
    yield running
    assert running.stop() == 0
    log = running.log.read_text()
    assert KEY not in log
    assert DECOY not in log
    assert {line["logger"] for line in running.lines()} == {"nexus.gateway"}  # every line is ours, and JSON
    assert trap.connections == 0


def events(answer: httpx.Response) -> list[Any]:
    """The data of each event; texts that are no JSON as they are."""
    data = [block.removeprefix("data: ") for block in answer.text.split("\n\n") if block]
    return [text if text == "[DONE]" else json.loads(text) for text in data]


def text_of(answer: httpx.Response) -> str:
    chunks = [event for event in events(answer) if isinstance(event, dict) and "choices" in event]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def logged(gateway: Gateway, route: str) -> dict[str, Any]:
    """The line of the first request that the route has answered; empty until it is written."""
    return next((line for line in gateway.lines() if line.get("route") == route), {})


def test_a_whole_answer_comes_with_its_usage(gateway: Gateway, engine: Engine) -> None:
    answer = gateway.ask("hosted", temperature=0.5, seed=3)
    assert answer.status_code == 200
    document = answer.json()
    assert document["choices"][0]["message"]["content"] == "".join(hosted.WORDS)
    assert document["choices"][0]["finish_reason"] == "stop"
    assert {name: document["usage"][name] for name in hosted.USAGE} == hosted.USAGE
    seen = engine.of("hosted")[-1]
    assert seen.path == "/chat/completions"
    assert json.loads(seen.body) | {"model": "m-1", "temperature": 0.5, "seed": 3} == json.loads(seen.body)
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    line = until(lambda: logged(gateway, "hosted"), "the line is written")
    assert (line["prompt_tokens"], line["completion_tokens"]) == (7, 3)


def test_a_stream_is_openais_and_ends_by_its_mark(gateway: Gateway) -> None:
    answer = gateway.ask("hosted", stream=True, stream_options={"include_usage": True})
    assert answer.headers["content-type"] == "text/event-stream"
    assert text_of(answer) == "".join(hosted.WORDS)
    told = events(answer)
    assert told[-1] == "[DONE]"
    assert [chunk["choices"][0]["finish_reason"] for chunk in told[:-1] if chunk["choices"]][-1] == "stop"
    assert {name: told[-2]["usage"][name] for name in hosted.USAGE} == hosted.USAGE


def test_openais_own_client_reads_answers_and_calls_of_tools(gateway: Gateway) -> None:
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="dev-key", max_retries=0)
    asked: dict[str, Any] = {"model": "hosted", "messages": [{"role": "user", "content": "?"}], "tools": [TOOL]}
    with client:
        choice = client.chat.completions.create(**asked).choices[0]
        streamed = list(client.chat.completions.create(**asked, stream=True))
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.model_dump()["tool_calls"]
    assert (call["id"], call["function"]["name"]) == ("call_1", "weather")
    assert json.loads(call["function"]["arguments"]) == {"place": "Ulm"}
    parts = [part for chunk in streamed for choice in chunk.choices for part in choice.delta.tool_calls or ()]
    assert "".join(part.function.arguments or "" for part in parts) == '{"place": "Ulm"}'
    assert streamed[-1].choices[0].finish_reason == "tool_calls"


def test_another_api_is_translated(gateway: Gateway) -> None:
    whole = gateway.ask("claude").json()
    assert whole["choices"][0]["message"]["content"] == "This is the mock upstream."
    assert (whole["usage"]["prompt_tokens"], whole["usage"]["completion_tokens"]) == (1, 5)
    streamed = gateway.ask("claude", stream=True, stream_options={"include_usage": True})
    assert text_of(streamed) == "This is the mock upstream."
    assert events(streamed)[-2]["usage"]["completion_tokens"] == 5
    assert events(streamed)[-1] == "[DONE]"


def test_vectors_come_of_a_provider_that_makes_them(gateway: Gateway, engine: Engine) -> None:
    head = {"authorization": "Bearer dev-key"}
    url = f"{gateway.url}/v1/embeddings"
    answer = httpx.post(url, json={"model": "spoken", "input": "hello"}, headers=head, timeout=30)
    assert answer.status_code == 200
    assert answer.json()["data"][0]["embedding"] == [0.5]
    refused = httpx.post(url, json={"model": "anthropic", "input": "hello"}, headers=head, timeout=30)
    assert (refused.status_code, code(refused)) == (404, "api_not_served")


@pytest.mark.parametrize(
    ("model", "status", "told"),
    [
        ("429", 429, "upstream_rate_limited"),
        ("401", 502, "upstream_failed"),
        ("500", 502, "upstream_failed"),
        ("redirect", 502, "upstream_failed"),
        ("close", 502, "upstream_failed"),
        ("no-json", 502, "upstream_failed"),
        ("big-head", 502, "upstream_failed"),
        ("nobody", 502, "upstream_failed"),
        ("stall", 504, "upstream_timeout"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_of_the_provider_is_a_status_and_asked_once(
    gateway: Gateway, engine: Engine, model: str, status: int, told: str, stream: bool
) -> None:
    before = len(engine.of(model))
    answer = gateway.ask(model, stream=stream)
    assert (answer.status_code, code(answer)) == (status, told)
    assert "10.1.2.3" not in answer.text
    assert len(engine.of(model)) == before + (model != "nobody")
    if status == 429:
        assert answer.headers["retry-after"] == "3600"


def test_a_fault_of_the_client_is_told_in_the_providers_words(gateway: Gateway) -> None:
    for stream in (False, True):
        answer = gateway.ask("400", stream=stream)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == "status 400 from 10.1.2.3"


@pytest.mark.parametrize("model", ["short", "reset", "stall-midway", "late-error-event"])
def test_a_stream_that_breaks_off_has_no_end_mark(gateway: Gateway, model: str) -> None:
    answer = gateway.ask(model, stream=True)
    assert answer.status_code == 200
    assert text_of(answer) == "one "
    told = events(answer)
    assert told[-1]["error"]["code"] == "stream_broken"
    assert all(not choice["finish_reason"] for chunk in told[:-1] for choice in chunk["choices"])


@pytest.mark.parametrize(("model", "stream"), [("waiting", False), ("waiting", True), ("patient", True)])
def test_a_client_that_leaves_cuts_the_provider_off(gateway: Gateway, engine: Engine, model: str, stream: bool) -> None:
    behaviour = {"waiting": "stall", "patient": "stall-midway"}[model]
    before = len(engine.of(behaviour))
    leaving = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    body = json.dumps({"model": model, "messages": [], "stream": stream})
    leaving.request(
        "POST", "/v1/chat/completions", body, {"authorization": "Bearer dev-key", "content-type": "application/json"}
    )
    until(lambda: len(engine.of(behaviour)) > before, "the provider is asked")
    if model == "patient":
        assert leaving.getresponse().read(6) == b"data: "
    leaving.close()
    assert engine.of(behaviour)[-1].cut_off.wait(30)


@pytest.mark.parametrize("provider", list(PROVIDERS))
def test_a_key_goes_to_the_address_of_its_route_alone(gateway: Gateway, engine: Engine, provider: str) -> None:
    before = len(engine.of("401"))
    answer = gateway.ask(provider)
    assert answer.json()["error"]["message"] == "the engine failed: it refused this gateway's credential"
    seen = engine.of("401")[before]
    assert len(engine.of("401")) == before + 1
    assert [value.removeprefix("Bearer ") for value in seen.headers.values() if KEY in value] == [KEY]
    assert DECOY not in str(seen.headers) + seen.path
    assert seen.headers["accept-encoding"] == "identity"  # by our own connections


@pytest.mark.parametrize("provider", list(PROVIDERS))
def test_no_provider_is_asked_again_by_the_library(gateway: Gateway, engine: Engine, provider: str) -> None:
    before = len(engine.of("close"))
    for stream in (False, True):
        answer = gateway.ask(f"closing-{provider}", stream=stream)
        assert (answer.status_code, code(answer)) == (502, "upstream_failed")
        assert "closed the connection" in answer.text
    assert len(engine.of("close")) == before + 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("api_base", "http://169.254.169.254/"), ("base_url", "http://169.254.169.254/"), ("api_key", "x"),
        ("custom_llm_provider", "bedrock"), ("mock_response", "hi"), ("fallbacks", ["gpt-4"]), ("metadata", {"a": "b"}),
        ("extra_headers", {"host": "x"}), ("model_list", []), ("tools", [{"type": "mcp", "server_url": "http://x"}]),
    ],
)  # fmt: skip
def test_the_librarys_own_settings_are_not_a_clients_to_make(
    gateway: Gateway, engine: Engine, field: str, value: Any
) -> None:
    before = len(engine.of("hosted"))
    answer = gateway.ask("hosted", **{field: value})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
    assert len(engine.of("hosted")) == before


@pytest.mark.parametrize("provider", ["hosted", "anthropic", "gemini"])
@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "%s"}},
        {"type": "image_url", "image_url": "%s"},
        {"type": "file", "file": {"file_id": "%s"}},
        {"type": "document", "source": {"type": "url", "url": "%s"}},
    ],
)
def test_an_address_in_a_message_is_fetched_by_nobody(
    gateway: Gateway, trap: Engine, provider: str, part: dict[str, Any]
) -> None:
    content = [{"type": "text", "text": "see http://example.test"}, json.loads(json.dumps(part) % trap.url("hosted"))]
    answer = gateway.ask(provider, messages=[{"role": "user", "content": content}])
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "messages")


BAD = [
    ({"url": "litellm://openai/m", "credential_env": None}, "needs credential_env"),
    ({"url": "litellm://openai"}, "write litellm://provider/model"),
    ({"url": "litellm://bedrock/m"}, "write litellm://provider/model, with one of anthropic"),
    ({"model": "m"}, "model stands in the url"),
    ({"health": {}}, "takes no health check"),
    ({"api_base": "ftp://x"}, "api_base: 'ftp://x': write https://host/path"),
    ({"api_base": "https://u:p@x/"}, "no credentials"),
    ({"url": "http://127.0.0.1:1"}, "api_base is for litellm:// alone"),
]


@pytest.mark.parametrize(("change", "why"), BAD)
def test_a_route_file_that_cannot_be_meant_is_refused(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    said = {
        name: value for name, value in {**upstream("https://127.0.0.1:1/v1"), **change}.items() if value is not None
    }
    checked = check(routes_of(tmp_path, {"chat": said}))
    assert checked.returncode == 2
    assert why in checked.stderr


def check(routes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BIN / "nexus-gateway"), "check", routes], capture_output=True, text=True)


def test_where_the_library_is_missing_routes_can_be_checked_and_not_served(tmp_path: Path) -> None:
    """As with credentials: what a process lacks is no fault of the file."""
    routes = routes_of(tmp_path, {"chat": upstream("https://127.0.0.1:1/v1")})
    assert check(routes).returncode == 0
    serving = Gateway(tmp_path, "--routes", routes, env={"HOSTED_KEY": KEY})
    assert serving.process.wait(60) == 2
    told = serving.log.read_text()
    assert "upstreams.chat: litellm is not installed here: pip install 'nexus-platform[litellm]'" in told
