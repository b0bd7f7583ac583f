"""Anthropic's SDK."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
from facts import CHAT, Weather, ended, raised, seconds, tell
from snippets.anthropic_sdk import client

once = client.with_options(max_retries=0)
TOOL = {"name": "weather", "description": "How warm it is.", "input_schema": Weather.model_json_schema()}


def ask(model: str, by: anthropic.Anthropic = once, **more: object) -> anthropic.types.Message:
    return by.messages.create(model=model, max_tokens=100, messages=CHAT, **more)


def stream(model: str) -> Iterator[str]:
    with once.messages.stream(model=model, max_tokens=100, messages=CHAT) as texts:
        yield from texts.text_stream


with once.messages.stream(model="chat", max_tokens=100, messages=CHAT, tools=[TOOL]) as events:
    streamed_call = events.get_final_message().content[0]

forced = ask("chat", tools=[TOOL], tool_choice={"type": "tool", "name": "weather"})

tell(
    stream="".join(stream("chat")),
    tool=ask("chat", tools=[TOOL]).content[0].input,
    streamed_tool=streamed_call.input,
    forced=[forced.content[0].name, forced.stop_reason],
    typed=once.messages.parse(
        model="chat", max_tokens=100, messages=CHAT, output_format=Weather
    ).parsed_output.model_dump(),
    tokens=once.messages.count_tokens(model="chat", messages=CHAT).input_tokens,
    unauthorized=raised(lambda: ask("chat", once.with_options(api_key="wrong"))),
    missing=raised(lambda: ask("none")),
    full=raised(lambda: ask("full")),
    busy=seconds(lambda: ask("busy", client)),
    cut=ended(lambda: stream("cut")),
)
