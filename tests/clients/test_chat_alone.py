"""Anthropic's clients find no difference where the engine speaks chat completions alone, and the gateway translates."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.client import Told
from ..support.gateway import Gateway
from .test_clients import CLIENTS

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module", params=["anthropic", "langchain-anthropic", "node-anthropic"])
def told(request: pytest.FixtureRequest, gateway: Gateway, chat_alone: Gateway) -> tuple[Told, Told]:
    """By an engine that speaks the Messages API itself, and by one that does not."""
    client = CLIENTS[request.param]
    return client.ask(gateway), client.ask(chat_alone)


def test_the_page_s_snippet_prints_the_same(told: tuple[Told, Told]) -> None:
    of_messages, of_chat = told
    assert of_chat.printed == of_messages.printed


def test_streams_calls_typed_answers_counts_and_errors_are_the_same(told: tuple[Told, Told]) -> None:
    of_messages, of_chat = map(comparable, told)
    assert {"stream", "tool", "cut"} <= of_chat.keys()
    assert of_chat == of_messages
    assert of_chat.get("forced", ["weather", "tool_use"]) == ["weather", "tool_use"]


def comparable(told: Told) -> dict[str, Any]:
    """Without the seconds that it took, and of a stream that is cut only what it ends with: each API has events of its
    own, and half of them are other words."""
    facts = {name: value for name, value in told.facts.items() if name != "busy"}
    return facts | {"cut": facts["cut"][1]}
