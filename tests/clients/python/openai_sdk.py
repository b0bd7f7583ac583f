"""OpenAI's SDK."""

from __future__ import annotations

from collections.abc import Iterator

import openai
from facts import CHAT, QUESTION, Weather, ended, raised, seconds, tell
from snippets.openai_sdk import client

once = client.with_options(max_retries=0)
TOOL = openai.pydantic_function_tool(Weather)


def chat(model: str) -> Iterator[str | None]:
    chunks = once.chat.completions.create(model=model, messages=CHAT, stream=True)
    return (chunk.choices[0].delta.content for chunk in chunks if chunk.choices)


def completion(model: str) -> Iterator[str]:
    chunks = once.completions.create(model=model, prompt=QUESTION, stream=True)
    return (chunk.choices[0].text for chunk in chunks if chunk.choices)


def response(model: str) -> Iterator[str]:
    events = once.responses.create(model=model, input=QUESTION, stream=True)
    return (event.delta for event in events if event.type == "response.output_text.delta")


def ask(model: str, by: openai.OpenAI = once) -> openai.types.chat.ChatCompletion:
    return by.chat.completions.create(model=model, messages=CHAT)


called = once.chat.completions.create(model="chat", messages=CHAT, tools=[TOOL]).choices[0].message.tool_calls
with once.chat.completions.stream(model="chat", messages=CHAT, tools=[TOOL]) as events:
    streamed_call = events.get_final_completion().choices[0].message.tool_calls
with once.chat.completions.with_streaming_response.create(model="chat", messages=CHAT, stream=True) as streamed:
    stream_release = streamed.headers["x-nexus-release"]
typed = once.responses.parse(model="chat", input=QUESTION, text_format=Weather)
typed_chat = once.chat.completions.parse(model="chat", messages=CHAT, response_format=Weather)
embedded = once.embeddings.create(model="chat", input=["warm", "cold"])

tell(
    stream="".join(text or "" for text in chat("chat")),
    completion=once.completions.create(model="chat", prompt=QUESTION).choices[0].text,
    response_stream="".join(response("chat")),
    response=once.responses.create(model="chat", input=QUESTION).output_text,
    tool=called[0].function.arguments,
    streamed_tool=streamed_call[0].function.arguments,
    typed=typed.output_parsed.model_dump(),
    typed_by_schema=typed_chat.choices[0].message.parsed.model_dump(),
    vector=embedded.data[1].embedding,
    release=stream_release,
    unauthorized=raised(lambda: ask("chat", once.with_options(api_key="wrong"))),
    missing=raised(lambda: ask("none")),
    full=raised(lambda: ask("full")),
    busy=seconds(lambda: ask("busy", client)),
    cut=ended(lambda: chat("cut")),
    cut_completion=ended(lambda: completion("cut")),
    cut_response=ended(lambda: response("cut")),
)
