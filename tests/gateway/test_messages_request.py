"""Requests of the Messages API as chat completions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nexus_gateway.errors import Refusal
from nexus_gateway.messages.request import to_chat, to_tokenize

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
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {}),
        ({"thinking": {"type": "adaptive"}}, {}),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, {"reasoning_effort": "none"}),
        ({"output_config": {"effort": "low"}}, {"reasoning_effort": "low"}),
        ({"service_tier": "auto", "cache_control": {"type": "ephemeral"}, "speed": "fast", "inference_geo": "eu"}, {}),
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


def test_claude_code_s_own_line_stays_here_so_that_prompts_are_found_in_caches() -> None:
    billing = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=0a1b;"}
    kept = {"type": "text", "text": "x-anthropic-billing-header: cch=0a1b;\nbe kind"}
    brief = {"type": "text", "text": "be brief"}
    assert chat(system=[billing, brief, kept])["messages"][0] == {"role": "system", "content": "be brief\nbe kind"}
    assert chat(system=[billing])["messages"] == HELLO


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
        "reasoning_content": "hm",
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


def test_thoughts_that_nobody_can_read_and_answers_without_words() -> None:
    hidden = {"type": "redacted_thinking", "data": "x"}
    thought = {"type": "thinking", "thinking": "hm", "signature": ""}
    found = said({"role": "assistant", "content": [hidden]}, {"role": "assistant", "content": [thought]}, *HELLO)
    assert found[:2] == [
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": "", "reasoning_content": "hm"},
    ]


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


def test_a_strict_tool_stays_strict() -> None:
    assert chat(tools=[{**WEATHER, "strict": True}])["tools"][0]["function"]["strict"] is True


def test_one_call_at_a_time() -> None:
    found = chat(tools=[WEATHER], tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    assert found["parallel_tool_calls"] is False


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ({"mcp_servers": [{"url": "x"}]}, "mcp_servers:"),
        ({"container": "c"}, "container:"),
        ({"messages": "hello"}, "messages:"),
        ({"messages": [*HELLO, {"role": "assistant", "content": "{"}]}, "messages:"),
        ({"messages": [{"role": "system", "content": [{"type": "image"}]}]}, "messages[0].content[0].text:"),
        ({"messages": ["hello"]}, "messages[0]:"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role:"),
        ({"messages": [*HELLO, {"role": "user", "content": [{"type": "document"}]}]}, "messages[1].content[0]:"),
        ({"messages": [{"role": "assistant", "content": [PIXEL]}]}, "messages[0].content[0]:"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content:"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text:"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]}, "source.type:"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "tool_use_id:"),
        ({"tools": [{"type": "web_search_20250305", "name": "w"}]}, "tools[0].type:"),
        ({"tools": {}, "x": 1, "tool_choice": 1, "metadata": 1}, "metadata:"),
        ({"tools": [{}]}, "tools[0].name:"),
        ({"tools": [{"name": "a", "input_schema": 1}]}, "tools[0].input_schema:"),
        ({"tools": [WEATHER], "tool_choice": {"type": "all"}}, "tool_choice.type:"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type:"),
        ({"system": 1}, "system:"),
        ({"system": [{"type": "document"}]}, "system[0].text:"),
    ],
)
def test_what_has_no_counterpart_is_refused_with_its_place(asked: dict[str, Any], place: str) -> None:
    with pytest.raises(Refusal) as refused:
        chat(**asked)
    assert refused.value.condition.code == "invalid_body"
    assert place in str(refused.value)


@pytest.mark.parametrize(
    "field",
    [
        {"max_completion_tokens": 10**6},
        {"n": 8},
        {"stream_options": {"include_usage": False}},
        {"stop": "x"},
        {"user": "u"},
    ],
)
def test_a_field_of_chat_s_own_would_pass_by_every_limit_and_is_refused(field: dict[str, Any]) -> None:
    for translate in (to_chat, to_tokenize):
        with pytest.raises(Refusal, match=f"^{next(iter(field))}: "):
            translate(json.dumps({"model": "m", "max_tokens": 9, "messages": HELLO, **field}).encode())


def test_tokens_are_counted_of_messages_and_tools_whoever_spoke_last() -> None:
    answer = {"role": "assistant", "content": "hi"}
    asked = {"model": "m", "system": "be brief", "messages": [*HELLO, answer], "tools": [WEATHER], "thinking": {}}
    found = json.loads(to_tokenize(json.dumps(asked).encode()))
    assert found == {
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, *HELLO, answer],
        "tools": chat(tools=[WEATHER])["tools"],
    }
