"""Chat answers as answers of the Messages API, whole and streamed."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_gateway.messages.answer import BadAnswer, from_chat
from nexus_gateway.messages.stream import ChatToMessages
from nexus_gateway.stream import BadStream

USAGE = {"prompt_tokens": 10, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
TOLD = {"input_tokens": 6, "output_tokens": 3, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 0}


def chat(message: dict[str, Any], **choice: Any) -> dict[str, Any]:
    return {"id": "c1", "model": "m", "choices": [{"message": message, **choice}], "usage": USAGE}


def call(number: int, **function: str) -> dict[str, Any]:
    head = {"id": f"t{number}", "type": "function"} if "name" in function else {}
    return {"index": number, **head, "function": function}


def test_a_whole_answer_with_thinking_text_and_calls() -> None:
    calls = [call(0, name="weather", arguments='{"town": "Seoul"}'), call(1, name="now", arguments="")]
    message = {"role": "assistant", "content": "I look", "reasoning_content": "hm", "tool_calls": calls}
    found = from_chat(chat(message, finish_reason="tool_calls"))
    assert (found["id"], found["role"], found["model"], found["type"]) == ("msg_c1", "assistant", "m", "message")
    assert found["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "I look"},
        {"type": "tool_use", "id": "t0", "name": "weather", "input": {"town": "Seoul"}},
        {"type": "tool_use", "id": "t1", "name": "now", "input": {}},
    ]
    assert (found["stop_reason"], found["usage"]) == ("tool_use", TOLD)


@pytest.mark.parametrize(
    ("choice", "reason", "sequence"),
    [
        ({"finish_reason": "stop"}, "end_turn", None),
        ({"finish_reason": "stop", "stop_reason": "\n\n"}, "stop_sequence", "\n\n"),
        ({"finish_reason": "stop", "stop_reason": 151645}, "end_turn", None),
        ({"finish_reason": "length"}, "max_tokens", None),
        ({"finish_reason": "content_filter"}, "refusal", None),
    ],
)
def test_why_it_ended(choice: dict[str, Any], reason: str, sequence: str | None) -> None:
    found = from_chat(chat({"content": "x"}, **choice))
    assert (found["stop_reason"], found["stop_sequence"]) == (reason, sequence)


@pytest.mark.parametrize(
    "document",
    [{}, {"choices": []}, {"choices": [1]}, chat({"tool_calls": [call(0, name="a", arguments="{")]})],
)
def test_what_is_no_chat_completion_is_no_answer(document: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer):
        from_chat(document)


def piece(delta: dict[str, Any], **more: Any) -> bytes:
    document = {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, **more}]}
    return b"data: " + json.dumps(document).encode() + b"\n\n"


PIECES = [
    piece({"role": "assistant", "content": ""}),
    piece({"reasoning": "h"}),
    piece({"reasoning_content": "m"}),
    piece({"content": "I "}),
    piece({"content": "löok"}),
    piece({"tool_calls": [call(0, name="weather", arguments="")]}),
    piece({"tool_calls": [call(0, arguments='{"town": ')]}),
    piece({"tool_calls": [call(0, arguments='"Seoul"}'), call(1, name="now", arguments="{}")]}),
    piece({}, finish_reason="tool_calls"),
    b"data: " + json.dumps({"id": "c1", "choices": [], "usage": USAGE}).encode() + b"\n\n",
    b"data: [DONE]\n\n",
]


def translated(data: bytes, cuts: set[int]) -> bytes:
    translator, out = ChatToMessages(), b""
    for begin, end in pairwise([0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]):
        out += translator.feed(data[begin:end])
    return out


def events(data: bytes) -> list[dict[str, Any]]:
    found = []
    for block in data.decode().strip().split("\n\n"):
        name, body = block.split("\n")
        document = json.loads(body.removeprefix("data: "))
        assert name == f"event: {document['type']}"
        found.append(document)
    return found


def test_a_stream_block_by_block() -> None:
    told = events(translated(b"".join(PIECES), set()))
    assert [one["type"] for one in told] == [
        "message_start",
        *("content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop"),
    ]
    starts = [one for one in told if one["type"] == "content_block_start"]
    assert [(one["index"], one["content_block"]["type"]) for one in starts] == [
        (0, "thinking"), (1, "text"), (2, "tool_use"), (3, "tool_use"),
    ]  # fmt: skip
    deltas = [(one["index"], one["delta"]) for one in told if one["type"] == "content_block_delta"]
    assert "".join(delta["text"] for _, delta in deltas if delta["type"] == "text_delta") == "I löok"
    assert "".join(delta["thinking"] for _, delta in deltas if delta["type"] == "thinking_delta") == "hm"
    town = "".join(delta["partial_json"] for number, delta in deltas if number == 2)
    assert json.loads(town) == {"town": "Seoul"}
    assert told[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert told[-2]["usage"] == TOLD


@given(cuts=st.sets(st.integers(1, 1400)))
def test_any_cut_of_the_bytes_gives_the_same_stream(cuts: set[int]) -> None:
    data = b"".join(PIECES)
    assert translated(data, cuts) == translated(data, set())


def test_a_chat_that_breaks_off_has_no_end_mark() -> None:
    assert b"message_stop" not in translated(b"".join(PIECES[:-1]), set())


@pytest.mark.parametrize("bad", [b'data: {"error": {"message": "x"}}\n\n', b"data: {\n\n", b"data: []\n\n"])
def test_what_is_no_chat_is_a_fault_wherever_it_comes(bad: bytes) -> None:
    for before in (b"", b"".join(PIECES[:4])):
        with pytest.raises(BadStream):
            translated(before + bad, set())


def test_what_comes_after_the_end_is_passed_over() -> None:
    translator = ChatToMessages()
    translator.feed(b"".join(PIECES))
    assert translator.done
    assert translator.feed(b"data: {\n\n") == b""
