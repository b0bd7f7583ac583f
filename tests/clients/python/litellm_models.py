"""LiteLLM as a client, by its provider `openai`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import litellm
from facts import CHAT, Weather, ended, raised, seconds, tell
from snippets.litellm_models import vectors

litellm.suppress_debug_info = True
TOOL = {"type": "function", "function": {"name": "weather", "parameters": Weather.model_json_schema()}}


def ask(model: str, **more: Any) -> Any:
    return litellm.completion(f"openai/{model}", CHAT, **{"max_retries": 0, **more})


def stream(model: str) -> Iterator[str | None]:
    return (piece.choices[0].delta.content for piece in ask(model, stream=True))


tell(
    stream="".join(text or "" for text in stream("chat")),
    tool=ask("chat", tools=[TOOL]).choices[0].message.tool_calls[0].function.arguments,
    typed=ask("chat", response_format=Weather).choices[0].message.content,
    vector=vectors[1]["embedding"],
    unauthorized=raised(lambda: ask("chat", api_key="wrong")),
    missing=raised(lambda: ask("none")),
    full=raised(lambda: ask("full")),
    busy=seconds(lambda: ask("busy", max_retries=2)),
    cut=ended(lambda: stream("cut")),
)
