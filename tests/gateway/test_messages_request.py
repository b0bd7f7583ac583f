"""Requests of the Messages API as chat completions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nexus_gateway.errors import Refusal
from nexus_gateway.messages.request import to_chat

HELLO = [{"role": "user", "content": "hello"}]
PIXEL = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
WEATHER = {"name": "weather", "description": "of a town", "input_schema": {"type": "object"}}


def chat(**asked: Any) -> dict[str, Any]:
    document = {"model": "m", "max_tokens": 9, "messages": HELLO, **asked}
    found: dict[str, Any] = json.loads(to_chat(json.dumps(document).encode()))
    return found


def said(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chat(messages=list(messages))["messages"]
    return found


def test_the_least_of_a_request() -> None:
    assert chat() == {"model": "m", "max_tokens": 9, "messages": HELLO}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"temperature": 0.5, "top_p": 0.9, "top_k": 4}, {"temperature": 0.5, "top_p": 0.9, "top_k": 4}),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        ({"stop_sequences": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"metadata": {"user_id": "u1"}}, {"user": "u1"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}, "service_tier": "auto"}, {}),
        ({"output_config": {"effort": "low"}}, {"reasoning_effort": "low"}),
        ({"min_p": 0.1, "mcp_servers": []}, {"min_p": 0.1}),
    ],
)
def test_fields_are_carried_by_their_other_names(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    found = chat(**asked)
    assert {name: found[name] for name in found.keys() - {"model", "max_tokens", "messages"}} == expected


def test_a_schema_for_the_answer() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    form = chat(output_config={"format": {"type": "json_schema", "schema": schema}})["response_format"]
    assert form == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


@pytest.mark.parametrize(
    "system", ["be brief", [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}]]
)
def test_the_system_prompt_is_the_first_message(system: Any) -> None:
    assert chat(system=system)["messages"] == [{"role": "system", "content": "be brief"}, *HELLO]


def test_texts_are_one_text_and_images_make_parts() -> None:
    texts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert said({"role": "user", "content": texts}) == [{"role": "user", "content": "a\nb"}]
    url = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
    (message,) = said({"role": "user", "content": [PIXEL, texts[0], url]})
    assert message["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
    ]


def test_a_call_of_a_tool_and_its_result() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"town": "Seoul"}}
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "sunny"}]}
    failed = {"type": "tool_result", "tool_use_id": "t2", "content": "no such town", "is_error": True}
    shown = {"type": "tool_result", "tool_use_id": "t3", "content": [PIXEL]}
    empty = {"type": "tool_result", "tool_use_id": "t4"}
    found = said(
        *HELLO,
        {"role": "assistant", "content": [thought, {"type": "text", "text": "I look"}, call]},
        {"role": "user", "content": [{"type": "text", "text": "so?"}, result, failed, shown, empty]},
    )
    assert found[1] == {
        "role": "assistant",
        "content": "I look",
        "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"town":"Seoul"}'}}
        ],
    }
    assert found[2:6] == [
        {"role": "tool", "tool_call_id": "t1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "t2", "content": "Error: no such town"},
        {"role": "tool", "tool_call_id": "t3", "content": ""},
        {"role": "tool", "tool_call_id": "t4", "content": ""},
    ]
    assert [part["type"] for part in found[6]["content"]] == ["text", "image_url"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "weather"}, {"type": "function", "function": {"name": "weather"}}),
    ],
)
def test_tools_and_how_they_are_chosen(choice: Any, expected: Any) -> None:
    found = chat(tools=[WEATHER], **({"tool_choice": choice} if choice else {}))
    function = {"name": "weather", "description": "of a town", "parameters": {"type": "object"}}
    assert found["tools"] == [{"type": "function", "function": function}]
    assert found.get("tool_choice") == expected
    assert "parallel_tool_calls" not in found


def test_one_call_at_a_time() -> None:
    found = chat(tools=[WEATHER], tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    assert found["parallel_tool_calls"] is False


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ({"mcp_servers": [{"url": "x"}]}, "mcp_servers:"),
        ({"container": "c"}, "container:"),
        ({"messages": "hello"}, "messages:"),
        ({"messages": ["hello"]}, "messages[0]:"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role:"),
        ({"messages": [*HELLO, {"role": "user", "content": [{"type": "document"}]}]}, "messages[1].content[0]:"),
        ({"messages": [{"role": "assistant", "content": [PIXEL]}]}, "messages[0].content[0]:"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0]:"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text:"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]}, "source.type:"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "tool_use_id:"),
        ({"tools": [{"type": "web_search_20250305", "name": "w"}]}, "tools[0].type:"),
        ({"tools": {}, "x": 1, "tool_choice": 1, "metadata": 1}, "metadata:"),
        ({"tools": [{}]}, "tools[0].name:"),
        ({"tools": [WEATHER], "tool_choice": {"type": "all"}}, "tool_choice.type:"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type:"),
        ({"system": 1}, "system:"),
    ],
)
def test_what_has_no_counterpart_is_refused_with_its_place(asked: dict[str, Any], place: str) -> None:
    with pytest.raises(Refusal) as refused:
        chat(**asked)
    assert refused.value.condition.code == "invalid_body"
    assert place in str(refused.value)
