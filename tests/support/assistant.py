"""What an assistant says that calls a tool when it is given one, and keeps to a schema when it is asked to.

Arguments and structured answers are made from the schema: every text is `TEXT`, every number `NUMBER`. Once the tool
has answered, and where neither is asked for, it says what `mock://local` says.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from nexus_gateway.upstreams.mock_answers import streamed, whole

Document = dict[str, Any]

TEXT, NUMBER = "Busan", 21
_OPENAI = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
_ANTHROPIC = {"input_tokens": 7, "output_tokens": 3}


async def _whole_or_streamed(asked: Document, out: Any) -> None:
    if asked.get("stream"):
        await out.events(events(out.seen.path, asked))
    else:
        await out.json(answer(out.seen.path, asked))


async def _cut(asked: Document, out: Any) -> None:
    """In the middle of its stream the connection breaks."""
    told = events(out.seen.path, asked)
    await out.head(kind="text/event-stream", transfer_encoding="chunked")
    for data in told[: len(told) // 2]:
        await out.chunk(data)
    out.writer.transport.abort()


async def _cut_streams(asked: Document, out: Any) -> None:
    """The same, but what is asked for whole is whole."""
    await (_cut if asked.get("stream") else _whole_or_streamed)(asked, out)


def _busy(seconds: int) -> Callable[[Document, Any], Awaitable[None]]:
    """Each first time it has too much to do for so long, each second time it answers."""

    async def behave(asked: Document, out: Any) -> None:
        if out.turn % 2 == 0:
            await out.json({"error": {"message": "too much to do"}}, 429, retry_after=str(seconds))
        else:
            await _whole_or_streamed(asked, out)

    return behave


BEHAVIOURS = {
    "assistant": _whole_or_streamed,
    "assistant-cut": _cut,
    "assistant-cut-streams": _cut_streams,
    "assistant-busy-1": _busy(1),
    "assistant-busy-3": _busy(3),
}
"""Of the engine in `upstream.py`."""


def answer(path: str, asked: Document) -> Document:
    if path == "/tokenize":
        return {"count": 1, "max_model_len": 4096, "tokens": [1]}
    call, text = tool_call(asked), schema_text(asked)
    said: Document = json.loads(whole(path, asked))
    if path == "/v1/chat/completions" and (call or text):
        message = {"role": "assistant", "content": text, **({"tool_calls": [_chat_call(*call)]} if call else {})}
        choice = {"index": 0, "message": message, "finish_reason": _finish_reason(asked, called=bool(call))}
        return {**_chat_head(asked, "chat.completion"), "choices": [choice], "usage": _OPENAI}
    if path == "/v1/messages" and (call or text):
        block = _tool_use(*call) if call else {"type": "text", "text": text}
        return {**_message_head(asked), "content": [block], **_stop(call), "usage": _ANTHROPIC}
    if path == "/v1/responses" and (call or text):
        item = _function_call(*call) if call else {**_OUTPUT, "content": [{**_OUTPUT_TEXT, "text": text}]}
        return {**said, "output": [item]}
    return said


def events(path: str, asked: Document) -> list[bytes]:
    """Of a stream, the end mark last."""
    call, text = tool_call(asked), schema_text(asked)
    if path == "/v1/chat/completions" and (call or text):
        return _chat_events(asked, [{"tool_calls": [_chat_call(*call)]}] if call else _deltas(text), bool(call))
    if path == "/v1/messages" and call:
        return _message_events(asked, *call)
    return streamed(path, asked)


def tool_call(asked: Document) -> tuple[str, Document] | None:
    """The first tool's name and arguments; None where there is no tool, or where it has answered already."""
    tools = [tool.get("function", tool) for tool in asked.get("tools") or []]
    if not tools or _has_result(asked):
        return None
    return tools[0]["name"], _example(tools[0].get("parameters") or tools[0].get("input_schema") or {})


def schema_text(asked: Document) -> str | None:
    """A text by the schema that is asked for, wherever the API has it."""
    wanted = asked.get("response_format") or (asked.get("text") or asked.get("output_config") or {}).get("format")
    if not wanted or wanted["type"] != "json_schema":
        return None
    return json.dumps(_example(wanted.get("json_schema", wanted)["schema"]))


def _has_result(asked: Document) -> bool:
    said = json.dumps(asked.get("messages") or asked.get("input"))
    return any(mark in said for mark in ('"role": "tool"', '"tool_result"', '"function_call_output"'))


def _example(schema: Document, definitions: Document | None = None) -> Any:
    known = definitions or schema.get("$defs") or {}
    if "$ref" in schema:
        return _example(known[schema["$ref"].rsplit("/", 1)[1]], known)
    if "properties" in schema:
        return {name: _example(field, known) for name, field in schema["properties"].items()}
    if schema.get("type") == "array":
        return [_example(schema["items"], known)]
    return NUMBER if schema.get("type") in ("integer", "number") else TEXT


def _chat_head(asked: Document, kind: str) -> Document:
    return {"id": "chatcmpl-1", "object": kind, "created": 0, "model": asked["model"]}


def _chat_call(name: str, arguments: Document) -> Document:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"index": 0, "id": "call_1", "type": "function", "function": function}


def _finish_reason(asked: Document, called: bool) -> str:
    """A call that the client has forced ends with `stop`, as OpenAI's reference has it and vLLM does it."""
    return "tool_calls" if called and not isinstance(asked.get("tool_choice"), dict) else "stop"


def _chat_events(asked: Document, deltas: list[Document], called: bool) -> list[bytes]:
    head = _chat_head(asked, "chat.completion.chunk")
    last = {"index": 0, "delta": {}, "finish_reason": _finish_reason(asked, called)}
    choices = [{"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": None} for delta in deltas]
    told = [*({**head, "choices": [choice]} for choice in [*choices, last]), {**head, "choices": [], "usage": _OPENAI}]
    return [b"data: " + _json(event) + b"\n\n" for event in told] + [b"data: [DONE]\n\n"]


def _deltas(text: str | None) -> list[Document]:
    return [{"content": letter} for letter in text or ""]


def _message_head(asked: Document) -> Document:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": asked["model"]}


def _stop(call: object) -> Document:
    return {"stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None}


def _tool_use(name: str, arguments: Document) -> Document:
    return {"type": "tool_use", "id": "toolu_1", "name": name, "input": arguments}


def _message_events(asked: Document, name: str, arguments: Document) -> list[bytes]:
    begun = {**_message_head(asked), "content": [], "stop_reason": None, "stop_sequence": None, "usage": _ANTHROPIC}
    delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
    told: list[Document] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": _tool_use(name, {})},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": _stop(True), "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\n".encode() + b"data: " + _json(event) + b"\n\n" for event in told]


_OUTPUT = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
_OUTPUT_TEXT = {"type": "output_text", "annotations": []}


def _function_call(name: str, arguments: Document) -> Document:
    told = {"id": "fc_1", "call_id": "call_1", "name": name, "arguments": json.dumps(arguments)}
    return {"type": "function_call", "status": "completed", **told}


def _json(document: Document) -> bytes:
    return json.dumps(document).encode()
