"""LlamaIndex's `OpenAILike` and `OpenAILikeEmbedding`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from facts import QUESTION, Weather, ended, raised, seconds, tell
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from snippets.llama_index_models import embeddings, key, llm, url, vectors


def asking(model: str, **more: Any) -> OpenAILike:
    return OpenAILike(
        **{"model": model, "api_base": url, "api_key": key, "is_chat_model": True, "max_retries": 0, **more}
    )


def stream(model: str) -> Iterator[str]:
    return (piece.delta or "" for piece in asking(model).stream_complete(QUESTION))


def weather(city: str, celsius: int) -> str:
    return f"{city}: {celsius}"


called = llm.chat_with_tools([FunctionTool.from_defaults(weather)], user_msg=QUESTION)
by_schema = asking("chat", should_use_structured_outputs=True)

tell(
    stream="".join(stream("chat")),
    tool=llm.get_tool_calls_from_response(called)[0].tool_kwargs,
    typed=llm.structured_predict(Weather, PromptTemplate(QUESTION)).model_dump(),
    typed_by_schema=by_schema.structured_predict(Weather, PromptTemplate(QUESTION)).model_dump(),
    vector=vectors[1],
    query_vector=embeddings.get_query_embedding("warm"),
    unauthorized=raised(lambda: asking("chat", api_key="wrong").complete(QUESTION)),
    missing=raised(lambda: asking("none").complete(QUESTION)),
    full=raised(lambda: asking("full").complete(QUESTION)),
    busy=seconds(lambda: asking("busy", max_retries=1).complete(QUESTION)),
    cut=ended(lambda: stream("cut")),
)
