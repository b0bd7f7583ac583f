"""Clients in Python: each answers, raises its own errors, waits as it is told, and takes no cut stream for a whole one.

OpenAI's SDK runs twice: in the version that other clients allow, and in the newest one, which Nexus itself uses.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from nexus_gateway.upstreams.mock_answers import WORDS

from ..support.assistant import NUMBER, TEXT
from ..support.client import PYTHON, SCRIPTS, Told, ask, installed
from ..support.gateway import RELEASE, Gateway

SAID = "".join(WORDS)
WEATHER = {"city": TEXT, "celsius": NUMBER}
RUNS = {
    "openai_sdk": PYTHON,
    "openai_sdk-newest": Path(sys.executable),
    "anthropic_sdk": PYTHON,
    "langchain_openai_models": PYTHON,
    "langchain_anthropic_models": PYTHON,
    "llama_index_models": PYTHON,
    "instructor_models": PYTHON,
    "litellm_models": PYTHON,
}
SNIPPETS = {
    "openai_sdk": [SAID, RELEASE, SAID],
    "anthropic_sdk": [SAID, RELEASE, SAID],
    "langchain_openai_models": [SAID, RELEASE, SAID],
    "langchain_anthropic_models": [SAID, SAID],
    "llama_index_models": [SAID, SAID],
    "instructor_models": [TEXT],
    "litellm_models": [SAID, RELEASE, SAID],
}
"""What the page's snippet prints, line by line."""
ERRORS = {
    "openai_sdk": ["openai.AuthenticationError", "openai.NotFoundError", "openai.RateLimitError"],
    "anthropic_sdk": ["anthropic.AuthenticationError", "anthropic.NotFoundError", "anthropic.RateLimitError"],
    "langchain_openai_models": [
        "langchain_openai.OpenAIAuthenticationError",
        "langchain_openai.OpenAIModelNotFoundError",
        "langchain_openai.OpenAIRateLimitError",
    ],
    "langchain_anthropic_models": [
        "langchain_anthropic.AnthropicAuthenticationError",
        "langchain_anthropic.AnthropicModelNotFoundError",
        "langchain_anthropic.AnthropicRateLimitError",
    ],
    "llama_index_models": ["openai.AuthenticationError", "openai.NotFoundError", "openai.RateLimitError"],
    "instructor_models": ["instructor.InstructorRetryException"] * 3,
    "litellm_models": ["litellm.AuthenticationError", "litellm.NotFoundError", "litellm.RateLimitError"],
}
"""Of a wrong key, of a model that is not there, of an engine that has too much to do."""
CUTS = {
    "openai_sdk": "openai.APIError",
    "anthropic_sdk": "anthropic.APIStatusError",
    "langchain_openai_models": "openai.APIError",
    "langchain_anthropic_models": "anthropic.APIStatusError",
    "llama_index_models": "openai.APIError",
    "instructor_models": "instructor.InstructorRetryException",
    "litellm_models": "litellm.MidStreamFallbackError",
}
"""How a stream ends whose engine is gone."""

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module", params=sorted(RUNS))
def run(request: pytest.FixtureRequest, gateway: Gateway) -> tuple[str, Told]:
    """(The script's name, what it told)."""
    python, script = RUNS[request.param], request.param.partition("-")[0]
    installed([python])
    return script, ask(gateway, python, SCRIPTS / "python" / f"{script}.py")


def test_every_script_is_run() -> None:
    found = {path.stem for path in (SCRIPTS / "python").glob("*.py")} - {"facts"}
    assert found == {run.partition("-")[0] for run in RUNS} == set(SNIPPETS) == set(ERRORS) == set(CUTS)


def test_the_page_s_snippet_answers_streams_and_reads_the_release(run: tuple[str, Told]) -> None:
    script, told = run
    assert told.printed.splitlines() == SNIPPETS[script]


def test_streams_tools_typed_answers_and_vectors_are_what_the_engine_says(run: tuple[str, Told]) -> None:
    _, told = run
    expected: dict[str, Any] = {"stream": SAID, "completion": SAID, "response": SAID, "response_stream": SAID}
    expected |= dict.fromkeys(
        ["tool", "streamed_tool", "typed", "typed_by_tool", "typed_by_schema", "partial"], WEATHER
    )
    expected |= {"vector": [0.6, 0.8], "query_vector": [0.6, 0.8], "tokens": 1, "release": RELEASE}
    found = {name: _parsed(value) for name, value in told.facts.items() if name in expected}
    assert found == {name: expected[name] for name in found}
    assert {"typed"} < set(told.facts)


def test_errors_are_the_client_s_own_classes(run: tuple[str, Told]) -> None:
    script, told = run
    assert [told.facts[name] for name in ("unauthorized", "missing", "full")] == ERRORS[script]
    if script == "instructor_models":
        assert told.facts["causes"] == ERRORS["openai_sdk"]


def test_what_is_too_busy_is_asked_again_when_it_said(run: tuple[str, Told]) -> None:
    """The engine said one second; on their own, clients wait half of it at most."""
    assert run[1].facts["busy"] >= 1


def test_a_stream_that_is_cut_is_an_error_and_not_a_short_answer(run: tuple[str, Told]) -> None:
    script, told = run
    cuts = {name: value for name, value in told.facts.items() if name.startswith("cut")}
    assert {error for _, error in cuts.values()} == {CUTS[script]}
    assert all(SAID.startswith(came) and came != SAID for came, _ in cuts.values())


def _parsed(value: Any) -> Any:
    """Arguments of tools come as JSON texts from some."""
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value
