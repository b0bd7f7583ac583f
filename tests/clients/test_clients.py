"""Each client answers, raises its own errors, waits as it is told, and takes no cut stream for a whole one.

OpenAI's SDK for Python runs twice: in the version that other clients allow, and in the newest one, which Nexus uses.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nexus_gateway.upstreams.mock_answers import WORDS

from ..support.assistant import NUMBER, TEXT
from ..support.client import NODE_MODULES, PAGE, PYTHON, SCRIPTS, Told, ask, installed
from ..support.followed import BESIDE
from ..support.gateway import RELEASE, Gateway

pytestmark = pytest.mark.clients

SAID = "".join(WORDS)
WEATHER = {"city": TEXT, "celsius": NUMBER}
RAISED = ("AuthenticationError", "NotFoundError", "RateLimitError")


@dataclass(frozen=True)
class Client:
    script: str
    errors: tuple[str, ...]
    """Of a wrong key, of a model that is not there, of an engine that has too much to do."""
    cut: str
    """How a stream ends whose engine is gone."""
    snippet: tuple[str, ...] = (SAID, RELEASE, SAID)
    """What the page's snippet prints, line by line."""
    waits: int = 1
    """Seconds that the engine says; more than the client would wait on its own."""
    python: Path = PYTHON

    def ask(self, gateway: Gateway) -> Told:
        if self.script.endswith(".mjs"):
            installed(NODE_MODULES)
            return ask(gateway, "node", SCRIPTS / "node" / self.script)
        installed(self.python)
        return ask(gateway, self.python, SCRIPTS / "python" / self.script)


def _of(package: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{package}.{name}" for name in names)


_OPENAI = _of("openai", *RAISED)
CLIENTS = {
    "openai": Client("openai_sdk.py", _OPENAI, "openai.APIError"),
    "openai-newest": Client("openai_sdk.py", _OPENAI, "openai.APIError", python=Path(sys.executable)),
    "anthropic": Client("anthropic_sdk.py", _of("anthropic", *RAISED), "anthropic.APIStatusError"),
    "langchain-openai": Client(
        "langchain_openai_models.py",
        _of("langchain_openai", "OpenAIAuthenticationError", "OpenAIModelNotFoundError", "OpenAIRateLimitError"),
        "openai.APIError",
    ),
    "langchain-anthropic": Client(
        "langchain_anthropic_models.py",
        _of(
            "langchain_anthropic",
            "AnthropicAuthenticationError",
            "AnthropicModelNotFoundError",
            "AnthropicRateLimitError",
        ),
        "anthropic.APIStatusError",
        (SAID, SAID),
    ),
    "llama-index": Client("llama_index_models.py", _OPENAI, "openai.APIError", (SAID, SAID)),
    "instructor": Client(
        "instructor_models.py",
        _of("instructor", "InstructorRetryException") * 3,
        "instructor.InstructorRetryException",
        (TEXT,),
    ),
    "litellm": Client("litellm_models.py", _of("litellm", *RAISED), "litellm.MidStreamFallbackError"),
    "node-openai": Client("openai_sdk.mjs", RAISED, "APIError"),
    "node-anthropic": Client("anthropic_sdk.mjs", RAISED, "APIError"),
    "node-ai": Client("ai_sdk.mjs", ("APICallError",) * 3, "Object", waits=3),
}


@pytest.fixture(scope="module", params=sorted(CLIENTS))
def run(request: pytest.FixtureRequest, gateway: Gateway) -> tuple[Client, Told]:
    client = CLIENTS[request.param]
    return client, client.ask(gateway)


def test_every_script_is_run() -> None:
    found = {path.name for kind in ("python/*.py", "node/*.mjs") for path in SCRIPTS.glob(kind)}
    assert found - {"facts.py", "facts.mjs"} == {client.script for client in CLIENTS.values()}


def test_the_page_exports_what_clients_read() -> None:
    exported = BESIDE["tests/clients/test_clients.py"]["docs/how-to/use-any-client.md"].script(PAGE, {})
    names = {f"{maker}_{what}" for maker in ("OPENAI", "ANTHROPIC") for what in ("BASE_URL", "API_KEY")}
    assert set(re.findall(r"(\w+)=", exported)) == names


def test_the_page_s_snippet_answers_streams_and_reads_the_release(run: tuple[Client, Told]) -> None:
    client, told = run
    assert tuple(told.printed.splitlines()) == client.snippet


def test_streams_tools_typed_answers_and_vectors_are_what_the_engine_says(run: tuple[Client, Told]) -> None:
    _, told = run
    expected: dict[str, Any] = dict.fromkeys(
        ["stream", "completion", "response", "response_stream", "after_tool"], SAID
    )
    expected |= dict.fromkeys(
        ["tool", "streamed_tool", "typed", "typed_by_tool", "typed_by_schema", "partial"], WEATHER
    )
    vector = pytest.approx([0.6, 0.8])
    expected |= {"vector": vector, "query_vector": vector, "tokens": 1, "release": RELEASE}
    found = {name: _parsed(value) for name, value in told.facts.items() if name in expected}
    assert "typed" in found
    assert found == {name: expected[name] for name in found}


def test_errors_are_the_client_s_own_classes(run: tuple[Client, Told]) -> None:
    client, told = run
    assert tuple(told.facts[name] for name in ("unauthorized", "missing", "full")) == client.errors
    assert told.facts.get("causes", list(_OPENAI)) == list(_OPENAI)


def test_what_is_too_busy_is_asked_again_when_it_said(run: tuple[Client, Told]) -> None:
    client, told = run
    assert told.facts["busy"] >= client.waits


def test_a_stream_that_is_cut_is_an_error_and_not_a_short_answer(run: tuple[Client, Told]) -> None:
    client, told = run
    cuts = {name: value for name, value in told.facts.items() if name.startswith("cut")}
    assert {error for _, error in cuts.values()} == {client.cut}
    assert all(SAID.startswith(came) and came != SAID for came, _ in cuts.values())


@pytest.mark.parametrize("run", ["node-ai"], indirect=True)
def test_the_ai_sdk_s_text_stream_ends_quietly_and_says_so_elsewhere(run: tuple[Client, Told]) -> None:
    """The page warns of it; where it throws one day, the page may say less."""
    facts = run[1].facts
    assert facts["text_stream"] == [facts["cut"][0], "nothing"]
    assert (facts["finish"], facts["broken"]) == ("error", "stream_broken")


def _parsed(value: Any) -> Any:
    """Arguments of tools come as JSON texts from some."""
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value
