"""What an engine that speaks every API says: small answers of the right shape, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

Document = dict[str, Any]

_MESSAGES = [{"role": "user", "content": "hello"}]
ASKED: dict[str, Document] = {
    "/v1/chat/completions": {"messages": _MESSAGES},
    "/v1/completions": {"prompt": "hello"},
    "/v1/embeddings": {"input": "hello"},
    "/v1/responses": {"input": "hello"},
    "/v1/messages": {"messages": _MESSAGES},
    "/v1/messages/count_tokens": {"messages": _MESSAGES},
    "/v1/rerank": {"query": "hello", "documents": ["a", "b"]},
}
"""The least of a request, without its model."""
STREAMS = ("/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses")
END = {
    "/v1/chat/completions": "[DONE]",
    "/v1/completions": "[DONE]",
    "/v1/messages": '"message_stop"',
    "/v1/responses": '"response.completed"',
}

_OPENAI = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
_INPUT = {"prompt_tokens": 7, "total_tokens": 7}
_SPENT = {"input_tokens": 7, "output_tokens": 3}


def whole(path: str) -> Document:
    answers: dict[str, Document] = {
        "/v1/chat/completions": {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "one"}, "finish_reason": "stop"}],
            "usage": _OPENAI,
        },
        "/v1/completions": {"object": "text_completion", "choices": [{"index": 0, "text": "one"}], "usage": _OPENAI},
        "/v1/embeddings": {"object": "list", "data": [{"index": 0, "embedding": [0.5]}], "usage": _INPUT},
        "/v1/responses": {"object": "response", "error": None, "output": [], "usage": _SPENT},
        "/v1/messages": {"type": "message", "content": [{"type": "text", "text": "one"}], "usage": _SPENT},
        "/v1/messages/count_tokens": {"input_tokens": 7},
        "/tokenize": {"count": 7, "max_model_len": 4096, "tokens": [1, 2, 3, 4, 5, 6, 7]},
        "/v1/rerank": {"results": [{"index": 0, "relevance_score": 0.5}], "usage": _INPUT},
    }
    return answers[path]


def events(path: str) -> list[bytes]:
    """Of a stream, the end mark last."""
    if path == "/v1/responses":
        return [
            named({"type": "response.created", "response": {"error": None, "usage": None}}),
            named({"type": "response.output_text.delta", "delta": 'a "message_stop" and "response.completed"'}),
            named({"type": "response.completed", "response": {"error": None, "usage": _SPENT}}),
        ]
    if path == "/v1/messages":
        return [
            named({"type": "message_start", "message": {"usage": {"input_tokens": 7, "output_tokens": 1}}}),
            named({"type": "ping"}),
            named({"type": "content_block_delta", "delta": {"text": '"message_stop", "usage", "error"'}}),
            named({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}),
            named({"type": "message_stop"}),
        ]
    piece = {"choices": [{"index": 0, "delta": {"content": "one"}, "text": "one"}]}
    return [plain(piece), plain({"choices": [], "usage": _OPENAI}), b"data: [DONE]\n\n"]


def failed(path: str) -> bytes:
    """The event by which an engine reports a failure of its own."""
    error = {"message": "out of memory at 10.1.2.3", "type": "api_error"}
    if path == "/v1/responses":
        return named({"type": "response.failed", "response": {"error": error, "usage": None}})
    return named({"type": "error", "error": error}) if path == "/v1/messages" else plain({"error": error})


def named(document: Document) -> bytes:
    return f"event: {document['type']}\n".encode() + plain(document)


def plain(document: Document) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"
