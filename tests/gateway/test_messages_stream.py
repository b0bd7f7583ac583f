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
        ({"finish_reason": "eos"}, "end_turn", None),
    ],
)
def test_why_it_ended(choice: dict[str, Any], reason: str, sequence: str | None) -> None:
    found = from_chat(chat({"content": "x"}, **choice))
    assert (found["stop_reason"], found["stop_sequence"]) == (reason, sequence)


@pytest.mark.parametrize(
    ("arguments", "choice", "reason", "given"),
    [
        ('{"a": 1}', {"finish_reason": "stop"}, "tool_use", {"a": 1}),  # a forced call, by OpenAI's reference
        ('{"a": 1}', {"finish_reason": "tool_calls", "stop_reason": "x"}, "tool_use", {"a": 1}),
        ('{"a": 1}', {"finish_reason": "length"}, "max_tokens", {"a": 1}),
        ('{"a": ', {"finish_reason": "length"}, "max_tokens", {}),
        ('{"a": ', {"finish_reason": "tool_calls", "stop_reason": "x"}, "stop_sequence", {}),
    ],
)
def test_a_call_is_to_be_made_unless_it_was_cut_short(
    arguments: str, choice: dict[str, Any], reason: str, given: dict[str, Any]
) -> None:
    found = from_chat(chat({"tool_calls": [call(0, name="a", arguments=arguments)]}, **choice))
    assert (found["stop_reason"], found["content"][0]["input"]) == (reason, given)


def test_calls_without_ids_get_some_and_a_refusal_has_words() -> None:
    calls = [{"function": {"name": name, "arguments": "{}"}} for name in ("a", "b")]
    found = from_chat(chat({"content": None, "refusal": "no", "tool_calls": calls}))["content"]
    assert found[0] == {"type": "text", "text": "no"}
    assert [block["id"] for block in found[1:]] == ["msg_c1_0", "msg_c1_1"]


@pytest.mark.parametrize(
    "document",
    [
        {}, {"choices": []}, {"choices": [1]},
        chat({"tool_calls": [call(0, name="a", arguments="{")]}),
        chat({"tool_calls": [call(0, name="a", arguments="[]")]}),
        chat({"tool_calls": [call(0, arguments="{}")]}),
        chat({"content": [{"type": "text", "text": "x"}]}),
        chat({"content": "x"}, finish_reason="abort"),
    ],
)  # fmt: skip
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


def blocks(*deltas: dict[str, Any], **choice: Any) -> tuple[list[Any], str]:
    """Each block's text, thinking, or name and arguments; and why it ended."""
    data = b"".join([*map(piece, deltas), piece({}, **choice), b"data: [DONE]\n\n"])
    found: list[Any] = []
    for event in (told := events(translated(data, set()))):
        if event["type"] == "content_block_start":
            assert event["index"] == len(found)
            found.append([event["content_block"].get("name", ""), ""])
        elif event["type"] == "content_block_delta":
            assert event["index"] == len(found) - 1, "blocks follow each other"
            found[-1][1] += "".join(value for name, value in event["delta"].items() if name != "type")
    return found, told[-2]["delta"]["stop_reason"]


def many(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"tool_calls": list(calls)}


BEGUN = {"index": 0, "id": "t0", "function": {"name": "a", "arguments": ""}}
MORE = {"index": 0, "function": {"arguments": "{}"}}
NEXT = {"index": 1, "id": "t1", "function": {"name": "b", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        pytest.param([many(BEGUN), many(MORE), many(NEXT)], [["a", "{}"], ["b", "{}"]], id="as OpenAI does"),
        pytest.param([many(BEGUN), many({**MORE, "id": "t0"})], [["a", "{}"]], id="the id in every piece"),
        pytest.param([many(BEGUN, MORE, NEXT)], [["a", "{}"], ["b", "{}"]], id="all at once"),
        pytest.param([many(BEGUN), many(MORE, NEXT)], [["a", "{}"], ["b", "{}"]], id="an end and a beginning"),
        pytest.param(
            [many({**BEGUN, **MORE, "function": {"name": "a", "arguments": "{}"}}), many({**NEXT, "index": 0})],
            [["a", "{}"], ["b", "{}"]],
            id="one index for all",
        ),
        pytest.param(
            [many(*({key: one[key] for key in ("id", "function")} for one in (NEXT, {**NEXT, "id": "t2"})))],
            [["b", "{}"], ["b", "{}"]],
            id="no index",
        ),
        pytest.param([many({"index": 0, "function": {"name": "a"}}), many(MORE)], [["a", "{}"]], id="no id"),
        pytest.param([many(BEGUN), {"content": "\n", **many(MORE)}], [["a", "{}"], ["", "\n"]], id="text after a call"),
        pytest.param([{"content": "x", **many(BEGUN)}, many(MORE)], [["", "x"], ["a", "{}"]], id="text before a call"),
    ],
)
def test_calls_as_engines_cut_them_up(deltas: list[dict[str, Any]], expected: list[Any]) -> None:
    for reason in ("tool_calls", "stop"):
        assert blocks(*deltas, finish_reason=reason) == (expected, "tool_use")


@pytest.mark.parametrize(
    "deltas",
    [
        [many(BEGUN), many(NEXT), many(MORE)],
        [many(BEGUN), {"content": "x"}, many(MORE)],
        [many(MORE)],
        [many(BEGUN), many({**MORE, "function": {"arguments": {"a": 1}}})],
    ],
)
def test_a_piece_never_goes_to_another_s_block(deltas: list[dict[str, Any]]) -> None:
    with pytest.raises(BadAnswer):
        blocks(*deltas)


def test_a_chat_that_the_engine_gives_up_has_no_end() -> None:
    with pytest.raises(BadAnswer, match="gave its answer up"):
        blocks({"content": "x"}, finish_reason="abort")


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
