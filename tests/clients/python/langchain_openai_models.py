"""LangChain's `ChatOpenAI` and `OpenAIEmbeddings`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from facts import QUESTION, Weather, ended, raised, seconds, tell
from langchain_openai import ChatOpenAI
from snippets.langchain_openai_models import embeddings, llm, vectors


def asking(model: str, **more: Any) -> ChatOpenAI:
    return ChatOpenAI(model=model, **{"max_retries": 0, **more})


def stream(model: str) -> Iterator[str]:
    return (str(piece.content) for piece in asking(model).stream(QUESTION))


def response(model: str) -> Iterator[str]:
    return (str(piece.text) for piece in asking(model, use_responses_api=True).stream(QUESTION))


calls = llm.bind_tools([Weather]).invoke(QUESTION).tool_calls
first = next(llm.stream(QUESTION))

tell(
    stream="".join(stream("chat")),
    response_stream="".join(response("chat")),
    tool=calls[0]["args"],
    typed=llm.with_structured_output(Weather).invoke(QUESTION).model_dump(),
    typed_by_tool=llm.with_structured_output(Weather, method="function_calling").invoke(QUESTION).model_dump(),
    vector=vectors[1],
    query_vector=embeddings.embed_query("warm"),
    release=first.response_metadata["headers"]["x-nexus-release"],
    unauthorized=raised(lambda: asking("chat", api_key="wrong").invoke(QUESTION)),
    missing=raised(lambda: asking("none").invoke(QUESTION)),
    full=raised(lambda: asking("full").invoke(QUESTION)),
    busy=seconds(lambda: asking("busy", max_retries=2).invoke(QUESTION)),
    cut=ended(lambda: stream("cut")),
    cut_response=ended(lambda: response("cut")),
)
