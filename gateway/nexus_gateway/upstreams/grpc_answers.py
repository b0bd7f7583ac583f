"""Messages of the gRPC contract as OpenAI's answers: whole, or as the events of a stream."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from nexus_inference import nexus_inference_pb2 as pb

END = b"data: [DONE]\n\n"

_REASONS = {
    pb.FINISH_REASON_UNSPECIFIED: None,
    pb.FINISH_REASON_STOP: "stop",
    pb.FINISH_REASON_LENGTH: "length",
    pb.FINISH_REASON_TOOL_CALLS: "tool_calls",
    pb.FINISH_REASON_CONTENT_FILTER: "content_filter",
}


def chat(answer: pb.ChatAnswer) -> dict[str, Any]:
    calls = [_call(call) for call in answer.tool_calls]
    message: dict[str, Any] = {"role": "assistant", "content": answer.content or (None if calls else "")}
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _REASONS.get(answer.finish_reason)}
    return {**_heading(answer, "chat.completion"), "choices": [choice], "usage": _usage(answer.usage)}


def completion(answer: pb.CompletionAnswer) -> dict[str, Any]:
    choice = {"index": 0, "text": answer.text, "logprobs": None, "finish_reason": _REASONS.get(answer.finish_reason)}
    return {**_heading(answer, "text_completion"), "choices": [choice], "usage": _usage(answer.usage)}


def embedding(answer: pb.EmbeddingAnswer, encoding: str) -> dict[str, Any]:
    """`encoding` is `float`, or `base64` of little-endian 32-bit floats."""
    return {
        "object": "list",
        "model": answer.model,
        "data": [
            {"object": "embedding", "index": index, "embedding": _vector(one.values, encoding)}
            for index, one in enumerate(answer.embeddings)
        ],
        "usage": {"prompt_tokens": answer.usage.prompt_tokens, "total_tokens": answer.usage.prompt_tokens},
    }


def chat_events(piece: pb.ChatPiece, *, first: bool) -> Iterator[bytes]:
    """The events of one piece; the role stands before the first."""
    heading = _heading(piece, "chat.completion.chunk")
    if first:
        yield _event({**heading, "choices": [_delta({"role": "assistant", "content": ""}, None)]})
    delta: dict[str, Any] = {"content": piece.content} if piece.content else {}
    if piece.tool_calls:
        delta["tool_calls"] = [_call_piece(call) for call in piece.tool_calls]
    reason = _REASONS.get(piece.finish_reason)
    if delta or reason:
        yield _event({**heading, "choices": [_delta(delta, reason)]})
    yield from _usage_event(heading, piece)


def completion_events(piece: pb.CompletionPiece, *, first: bool) -> Iterator[bytes]:
    """The events of one piece."""
    heading = _heading(piece, "text_completion")
    reason = _REASONS.get(piece.finish_reason)
    if piece.text or reason:
        choice = {"index": 0, "text": piece.text, "logprobs": None, "finish_reason": reason}
        yield _event({**heading, "choices": [choice]})
    yield from _usage_event(heading, piece)


def _usage_event(heading: dict[str, Any], piece: pb.ChatPiece | pb.CompletionPiece) -> Iterator[bytes]:
    if piece.HasField("usage"):
        yield _event({**heading, "choices": [], "usage": _usage(piece.usage)})


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def _heading(answer: Any, kind: str) -> dict[str, Any]:
    return {"id": answer.id, "object": kind, "created": answer.created, "model": answer.model}


def _delta(delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}


def _call(call: pb.FunctionCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _call_piece(call: pb.FunctionCallPiece) -> dict[str, Any]:
    function = {name: value for name, value in (("name", call.name), ("arguments", call.arguments)) if value}
    return {"index": call.index, **({"id": call.id, "type": "function"} if call.id else {}), "function": function}


def _usage(usage: pb.Usage) -> dict[str, Any]:
    counted = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    total = usage.prompt_tokens + usage.completion_tokens
    return {**counted, "total_tokens": total, "prompt_tokens_details": {"cached_tokens": usage.cached_tokens}}


def _vector(values: Iterable[float], encoding: str) -> list[float] | str:
    numbers = list(values)
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode() if encoding == "base64" else numbers
