"""LangChain's `ChatAnthropic`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from facts import QUESTION, Weather, ended, raised, seconds, tell
from langchain_anthropic import ChatAnthropic
from snippets.langchain_anthropic_models import llm


def asking(model: str, **more: Any) -> ChatAnthropic:
    return ChatAnthropic(model=model, max_tokens=100, **{"max_retries": 0, **more})


def stream(model: str) -> Iterator[str]:
    return (str(piece.text) for piece in asking(model).stream(QUESTION))


tell(
    stream="".join(stream("chat")),
    tool=llm.bind_tools([Weather]).invoke(QUESTION).tool_calls[0]["args"],
    typed=llm.with_structured_output(Weather).invoke(QUESTION).model_dump(),
    typed_by_schema=llm.with_structured_output(Weather, method="json_schema").invoke(QUESTION).model_dump(),
    unauthorized=raised(lambda: asking("chat", api_key="wrong").invoke(QUESTION)),
    missing=raised(lambda: asking("none").invoke(QUESTION)),
    full=raised(lambda: asking("full").invoke(QUESTION)),
    busy=seconds(lambda: asking("busy", max_retries=2).invoke(QUESTION)),
    cut=ended(lambda: stream("cut")),
)
