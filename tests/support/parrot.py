"""An engine that says what it was told last, in every API: whole, or in pieces of so many characters."""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .upstream import _Out

Document = dict[str, Any]
CUTS = (1, 7)
"""Characters of the pieces of `parrot-1` and `parrot-7`."""
_CHAT = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
_SPENT = {"input_tokens": 7, "output_tokens": 3}


async def parrot(size: int, asked: Document, out: _Out) -> None:
    path, text = out.seen.path, heard(asked)
    if asked.get("stream"):
        await out.events(list(_EVENTS[path](asked, text, size)))
    else:
        await out.json(_WHOLE[path](asked, text))


BEHAVIOURS: dict[str, Callable[[Document, _Out], Awaitable[None]]] = {
    f"parrot-{size}": functools.partial(parrot, size) for size in CUTS
}


def heard(asked: Document) -> str:
    """The last text of a request, in any API."""
    said = asked.get("prompt") or asked.get("input") or asked["messages"][-1]["content"]
    text = said if isinstance(said, str) else said[-1]["text"] if "text" in said[-1] else said[-1]["content"]
    assert isinstance(text, str)
    return text


def said(path: str, document: Document) -> str:
    """What the answer says, or the arguments of its call."""
    if path == "/v1/chat/completions":
        message = document["choices"][0]["message"]
        text: str = message["content"] or message["tool_calls"][0]["function"]["arguments"]
        return text
    if path == "/v1/completions":
        return str(document["choices"][0]["text"])
    if path == "/v1/messages":
        return str(document["content"][0]["text"])
    return str(document["output"][0]["content"][0]["text"])


def streamed(path: str, events: list[Document]) -> str:
    """The same of a stream."""
    return "".join(_piece_of(path, event) for event in events)


def _piece_of(path: str, event: Document) -> str:
    if path == "/v1/chat/completions":
        deltas = [choice["delta"] for choice in event["choices"]]
        calls = [call["function"].get("arguments", "") for delta in deltas for call in delta.get("tool_calls", ())]
        return "".join([delta.get("content") or "" for delta in deltas] + calls)
    if path == "/v1/completions":
        return "".join(choice["text"] for choice in event["choices"])
    delta = event.get("delta", "")
    return delta if isinstance(delta, str) else str(delta.get("text", "") or delta.get("partial_json", ""))


def arguments(text: str) -> str:
    """Of the call that is asked for: a text of digits as a number, which any document may hold."""
    return f'{{"to": {text if text.isdigit() else json.dumps(text)}, "copies": 1}}'


def _cut(text: str, size: int) -> Iterator[str]:
    return (text[place : place + size] for place in range(0, len(text), size))


def _chat(asked: Document, text: str) -> Document:
    message: Document = {"role": "assistant", "content": text}
    if asked.get("tools"):
        call = {"id": "call_1", "type": "function", "function": {"name": "send", "arguments": arguments(text)}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    logprobs = {"content": [{"token": text, "logprob": 0.0}]} if asked.get("logprobs") else None
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": _CHAT}


def _chat_events(asked: Document, text: str, size: int) -> Iterator[bytes]:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    numbers = range(asked.get("n") or 1)
    if asked.get("tools"):
        opened = {"id": "call_1", "type": "function", "function": {"name": "send", "arguments": ""}}
        pieces = [{"function": {"arguments": piece}} for piece in _cut(arguments(text), size)]
        deltas = [{"tool_calls": [{"index": 0, **call}]} for call in (opened, *pieces)]
    else:
        deltas = [{"content": piece} for piece in _cut(text, size)]
    for delta in deltas:
        for number in numbers:
            yield _event({**head, "choices": [{"index": number, "delta": delta, "finish_reason": None}]})
    for number in numbers:
        yield _event({**head, "choices": [{"index": number, "delta": {}, "finish_reason": "stop"}]})
    yield _event({**head, "choices": [], "usage": _CHAT})
    yield b"data: [DONE]\n\n"


def _completion(asked: Document, text: str) -> Document:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}
    return {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice], "usage": _CHAT}


def _completion_events(asked: Document, text: str, size: int) -> Iterator[bytes]:
    head = {"id": "c", "object": "text_completion", "created": 1, "model": "m"}
    for piece in _cut(text, size):
        yield _event({**head, "choices": [{"index": 0, "text": piece, "finish_reason": None}]})
    yield _event({**head, "choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
    yield _event({**head, "choices": [], "usage": _CHAT})
    yield b"data: [DONE]\n\n"


def _message(asked: Document, text: str) -> Document:
    told = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn"}
    return {**told, "content": [{"type": "text", "text": text}], "usage": _SPENT}


def _message_events(asked: Document, text: str, size: int) -> Iterator[bytes]:
    begun = {**_message(asked, ""), "content": [], "stop_reason": None}
    yield _named({"type": "message_start", "message": begun})
    yield _named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    for piece in _cut(text, size):
        delta = {"type": "text_delta", "text": piece}
        yield _named({"type": "content_block_delta", "index": 0, "delta": delta})
    yield _named({"type": "content_block_stop", "index": 0})
    yield _named({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}})
    yield _named({"type": "message_stop"})


def _response(asked: Document, text: str) -> Document:
    content = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [content]}
    told = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m", "error": None}
    return {**told, "output": [item], "usage": {**_SPENT, "total_tokens": 10}}


def _response_events(asked: Document, text: str, size: int) -> Iterator[bytes]:
    number, whole = count(), _response(asked, text)
    (item,) = whole["output"]
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}

    def event(kind: str, **more: Any) -> bytes:
        return _named({"type": f"response.{kind}", "sequence_number": next(number), **more})

    yield event("created", response={**whole, "output": [], "status": "in_progress"})
    yield event("output_item.added", output_index=0, item={**item, "content": []})
    yield event("content_part.added", **place, part={**item["content"][0], "text": ""})
    for piece in _cut(text, size):
        yield event("output_text.delta", **place, delta=piece, logprobs=[])
    yield event("output_text.done", **place, text=text, logprobs=[])
    yield event("content_part.done", **place, part=item["content"][0])
    yield event("output_item.done", output_index=0, item=item)
    yield event("completed", response=whole)


def _event(document: Document) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def _named(document: Document) -> bytes:
    return f"event: {document['type']}\n".encode() + _event(document)


_WHOLE: dict[str, Callable[[Document, str], Document]] = {
    "/v1/chat/completions": _chat,
    "/v1/completions": _completion,
    "/v1/messages": _message,
    "/v1/responses": _response,
}
_EVENTS: dict[str, Callable[[Document, str, int], Iterator[bytes]]] = {
    "/v1/chat/completions": _chat_events,
    "/v1/completions": _completion_events,
    "/v1/messages": _message_events,
    "/v1/responses": _response_events,
}
PATHS = tuple(_WHOLE)
