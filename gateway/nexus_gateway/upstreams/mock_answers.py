"""What the mock upstream says, in the words of each API: always the same, and of the right shape."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterable
from typing import Any

Document = dict[str, Any]

WORDS = ("This ", "is ", "the ", "mock ", "upstream.")
_TEXT = "".join(WORDS)
_USAGE = {"prompt_tokens": 1, "completion_tokens": len(WORDS), "total_tokens": len(WORDS) + 1}
_SPENT = {"input_tokens": 1, "output_tokens": len(WORDS)}
_VECTOR = [0.6, 0.8]


def whole(path: str, asked: Document) -> bytes:
    return json.dumps(_WHOLE[path](asked)).encode()


def streamed(path: str, asked: Document) -> list[bytes]:
    return _STREAMED[path](asked)


def _chat(asked: Document) -> Document:
    choice = {"index": 0, "message": {"role": "assistant", "content": _TEXT}, "finish_reason": "stop"}
    return {**_head(asked, "chat.completion"), "choices": [choice], "usage": _USAGE}


def _chat_stream(asked: Document) -> list[bytes]:
    pieces: list[Document] = [{"index": 0, "delta": {"content": word}, "finish_reason": None} for word in WORDS]
    pieces[0]["delta"] = {"role": "assistant", "content": WORDS[0]}
    pieces.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    return _until_done(_head(asked, "chat.completion.chunk"), pieces)


def _completion(asked: Document) -> Document:
    return {**_head(asked, "text_completion"), "choices": [_choice(_TEXT, "stop")], "usage": _USAGE}


def _completion_stream(asked: Document) -> list[bytes]:
    pieces = [*(_choice(word, None) for word in WORDS), _choice("", "stop")]
    return _until_done(_head(asked, "text_completion"), pieces)


def _choice(text: str, finish: str | None) -> Document:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}


def _until_done(head: Document, pieces: list[Document]) -> list[bytes]:
    events = [*({**head, "choices": [piece]} for piece in pieces), {**head, "choices": [], "usage": _USAGE}]
    return [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events] + [b"data: [DONE]\n\n"]


def _embeddings(asked: Document) -> Document:
    given = asked.get("input")
    several = isinstance(given, list) and bool(given) and not isinstance(given[0], int)
    count = len(given) if isinstance(given, list) and several else 1
    vector = _base64(_VECTOR) if asked.get("encoding_format") == "base64" else _VECTOR
    data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(count)]
    usage = {"prompt_tokens": count, "total_tokens": count}
    return {"object": "list", "model": asked.get("model", ""), "data": data, "usage": usage}


def _base64(vector: list[float]) -> str:
    """32 bits each, little-endian: what OpenAI's clients ask for where they are asked for nothing."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _rerank(asked: Document) -> Document:
    given = asked.get("documents")
    documents = given if isinstance(given, list) else []
    results = [
        {"index": index, "relevance_score": 1 / (index + 1), "document": {"text": str(text)}}
        for index, text in enumerate(documents)
    ]
    usage = {"prompt_tokens": len(documents), "total_tokens": len(documents)}
    return {"id": "rerank-mock", "model": asked.get("model", ""), "results": results, "usage": usage}


def _response(asked: Document, *, done: bool = True) -> Document:
    head = {"id": "resp_mock", "object": "response", "created_at": 0, "model": asked.get("model", ""), "error": None}
    more: Document = {"incomplete_details": None, "instructions": None, "metadata": {}, "parallel_tool_calls": True}
    told = {"tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0}
    if not done:
        return {**head, **more, **told, "status": "in_progress", "output": [], "usage": None}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = {**_SPENT, **details, "total_tokens": sum(_SPENT.values())}
    return {**head, **more, **told, "status": "completed", "output": [_item(_TEXT)], "usage": usage}


def _item(text: str) -> Document:
    content = [_text_part(text)] if text else []
    status = "completed" if text else "in_progress"
    return {"id": "msg_mock", "type": "message", "role": "assistant", "status": status, "content": content}


def _text_part(text: str) -> Document:
    return {"type": "output_text", "text": text, "annotations": []}


def _response_stream(asked: Document) -> list[bytes]:
    at = {"item_id": "msg_mock", "output_index": 0, "content_index": 0}
    events: list[Document] = [
        {"type": "response.created", "response": _response(asked, done=False)},
        {"type": "response.in_progress", "response": _response(asked, done=False)},
        {"type": "response.output_item.added", "output_index": 0, "item": _item("")},
        {"type": "response.content_part.added", **at, "part": _text_part("")},
        *({"type": "response.output_text.delta", **at, "delta": word, "logprobs": []} for word in WORDS),
        {"type": "response.output_text.done", **at, "text": _TEXT, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": _text_part(_TEXT)},
        {"type": "response.output_item.done", "output_index": 0, "item": _item(_TEXT)},
        {"type": "response.completed", "response": _response(asked)},
    ]
    return _named({**event, "sequence_number": number} for number, event in enumerate(events))


def _message(asked: Document) -> Document:
    return {**_message_head(asked), "content": [{"type": "text", "text": _TEXT}], **_END_TURN, "usage": _SPENT}


def _message_head(asked: Document) -> Document:
    return {"id": "msg_mock", "type": "message", "role": "assistant", "model": asked.get("model", "")}


_END_TURN = {"stop_reason": "end_turn", "stop_sequence": None}


def _message_stream(asked: Document) -> list[bytes]:
    begun = {**_message_head(asked), "content": [], "stop_reason": None, "stop_sequence": None}
    deltas = [{"type": "text_delta", "text": word} for word in WORDS]
    return _named([
        {"type": "message_start", "message": {**begun, "usage": {"input_tokens": 1, "output_tokens": 0}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": _END_TURN, "usage": {"output_tokens": len(WORDS)}},
        {"type": "message_stop"},
    ])  # fmt: skip


def _named(events: Iterable[Document]) -> list[bytes]:
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def _count(asked: Document) -> Document:
    return {"input_tokens": 1}


def _head(asked: Document, kind: str) -> Document:
    return {"id": "chatcmpl-mock", "object": kind, "created": 0, "model": asked.get("model", "")}


_WHOLE: dict[str, Callable[[Document], Document]] = {
    "/v1/chat/completions": _chat,
    "/v1/completions": _completion,
    "/v1/embeddings": _embeddings,
    "/v1/responses": _response,
    "/v1/messages": _message,
    "/v1/messages/count_tokens": _count,
    "/v1/rerank": _rerank,
}
_STREAMED: dict[str, Callable[[Document], list[bytes]]] = {
    "/v1/chat/completions": _chat_stream,
    "/v1/completions": _completion_stream,
    "/v1/responses": _response_stream,
    "/v1/messages": _message_stream,
}
