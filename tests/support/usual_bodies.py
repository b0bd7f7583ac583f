"""What clients really send and engines really answer: bodies as the programs write them, and the heads before them."""

from __future__ import annotations

import json
from typing import Any

_ASKED = 'Why is the sky blue?\nTell it to a child of "five", please \\ thanks\t\u00e9\u4f60\u597d \U0001f600'
_TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": 'Of a place, e.g. "Bern".',
        "parameters": {
            "type": "object",
            "properties": {"model": {"type": "string", "enum": ["a", "b"]}, "n": {"type": "number", "minimum": -1.5e3}},
            "required": ["model"],
        },
        "strict": True,
    },
}
_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"model": "a", "n": 1}'}}
_PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}}
_CHATS: list[dict[str, Any]] = [
    {"model": "chat", "messages": [{"role": "user", "content": "hi"}]},
    {
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": _ASKED}],
        "model": "meta-llama/Llama-3.1-8B-Instruct",
        "max_tokens": 256,
        "temperature": 0.7,
        "top_p": 0.30000000000000004,
        "stop": ["</s>", "\n\n"],
        "stream": True,
        "stream_options": {"include_usage": True},
        "user": "Zo\u00eb \u03a9",
        "seed": -17,
    },
    {
        "model": "chat:latest",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": _ASKED}, _PICTURE]},
            {"role": "assistant", "content": None, "tool_calls": [_CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "{}"},
        ],
        "tools": [_TOOL],
        "tool_choice": "auto",
        "max_completion_tokens": 1000,
        "max_tokens": None,
        "n": 2,
        "stream": False,
        "metadata": {"user_id": "u", "model": "x"},
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        "logit_bias": {"50256": -100},
        "parallel_tool_calls": False,
    },
]
_OTHERS: list[dict[str, Any]] = [
    {"model": "chat", "prompt": _ASKED, "max_tokens": 16, "best_of": 3, "n": 1, "logprobs": None, "echo": False},
    {"model": "chat", "prompt": ["one", "two"], "suffix": None},
    {"model": "chat", "prompt": [1, 2, 31999]},
    {"input": ["one", _ASKED], "model": "e5", "encoding_format": "base64", "dimensions": 512},
    {"model": "e5", "input": [[1, 2], [3]], "user": ""},
    {"model": "claude", "max_tokens": 64, "system": [{"type": "text", "text": _ASKED}], "metadata": {"user_id": "u"}},
    {"model": "o", "input": _ASKED, "max_output_tokens": 20, "text": {"format": {"type": "text"}}, "prompt": None},
    {"model": "rank", "query": "x", "documents": ["a", "b"], "top_n": 1},
]


def _written(document: Any) -> list[bytes]:
    """As httpx, as requests and aiohttp, and as a person writes it."""
    return [
        json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(),
        json.dumps(document).encode(),
        b"\r\n " + json.dumps(document, ensure_ascii=False, indent="\t").encode() + b"\n",
    ]


ASKED = [written for document in (*_CHATS, *_OTHERS) for written in _written(document)]

_MESSAGE = {"role": "assistant", "content": _ASKED, "refusal": None, "tool_calls": [], "reasoning_content": None}
_LOGPROBS = {"content": [{"token": "a", "logprob": -0.0069292834028601646, "bytes": [97], "top_logprobs": []}]}
_CHOICE = {"index": 0, "message": _MESSAGE, "logprobs": None, "finish_reason": "stop", "stop_reason": None}
_HEAD = {"id": "chatcmpl-9f3a5be0d1c04f7e", "object": "chat.completion", "created": 1764430000, "model": "chat"}
_COUNTS = {"prompt_tokens": 12, "total_tokens": 17, "completion_tokens": 5}
_DETAILS = {"completion_tokens_details": {"reasoning_tokens": 0}}
_ANSWERED: list[tuple[dict[str, Any], tuple[int, int, int]]] = [
    ({**_HEAD, "choices": [_CHOICE], "usage": {**_COUNTS, "prompt_tokens_details": None}}, (12, 5, 0)),
    (
        {
            "usage": {**_DETAILS, **_COUNTS, "prompt_tokens_details": {"audio_tokens": None, "cached_tokens": 4}},
            **_HEAD,
            "choices": [{**_CHOICE, "message": {**_MESSAGE, "tool_calls": [_CALL]}, "logprobs": _LOGPROBS}],
            "prompt_logprobs": None,
            "kv_transfer_params": None,
        },
        (12, 5, 4),
    ),
    (
        {
            **_HEAD,
            "choices": [{"text": _ASKED}],
            "usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}},
        },
        (1, 0, 1),
    ),
    (
        {
            "object": "list",
            "data": [{"embedding": [-0.023, 1.5e-05, 0], "index": 0}],
            "usage": {"prompt_tokens": 2147483647, "total_tokens": 2147483647, "completion_tokens": 0},
        },
        (2147483647, 0, 0),
    ),
]
ANSWERED = [(written, counted) for document, counted in _ANSWERED for written in _written(document)]
"""With what is counted of each."""

_TYPE = b"content-type: application/json\r\n"
HEADS = [
    b"HTTP/1.1 200 OK\r\ndate: Sun, 29 Nov 2026 15:24:46 GMT\r\nserver: uvicorn\r\ncontent-length: 548\r\n" + _TYPE,
    b"HTTP/1.1 200 OK\r\n" + _TYPE + b"Content-Length: 0\r\nConnection: Keep-Alive\r\nx-request-id: a-1_2\r\n",
    b"HTTP/1.1 200 \r\nCONTENT-LENGTH:\t007\r\nconnection:close\r\nempty: \t \r\nname: caf\xe9\r\n",
    b"HTTP/1.1 200 OK\r\nserver: envoy\r\ncontent-encoding: identity\r\ncontent-length: 999999999\r\nconnection:\r\n",
]
"""Without the empty line."""
