"""What a hosted provider with OpenAI's API says: like an engine's answers, with an end of its own and tools."""

from __future__ import annotations

import json
from typing import Any

Document = dict[str, Any]

WORDS = ("Grüße ", "from ", "far away")
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
_HEAD = {"id": "chatcmpl-1", "created": 1, "model": "hosted-1"}
_CALL = {"name": "weather", "arguments": '{"place": "Ulm"}'}


def whole(asked: Document) -> Document:
    message: Document = {"role": "assistant", "content": "".join(WORDS)}
    if asked.get("tools"):
        message = {"role": "assistant", "content": None, "tool_calls": [_tool_call()]}
    choice = {"index": 0, "message": message, "finish_reason": _reason(asked), "logprobs": None}
    return {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}


def events(asked: Document) -> list[bytes]:
    """Of a stream, its end mark last."""
    deltas: list[Document] = [{"content": word} for word in WORDS]
    if asked.get("tools"):
        deltas = [{"tool_calls": [{"index": 0, **_tool_call()}]}]
    deltas[0] = {"role": "assistant", **deltas[0]}
    choices: list[Document] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": _reason(asked)})
    chunks: list[Document] = [{**_HEAD, "object": "chat.completion.chunk", "choices": [choice]} for choice in choices]
    if (asked.get("stream_options") or {}).get("include_usage"):
        chunks.append({**_HEAD, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
    return [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]


def _tool_call() -> Document:
    return {"id": "call_1", "type": "function", "function": _CALL}


def _reason(asked: Document) -> str:
    return "tool_calls" if asked.get("tools") else "stop"
