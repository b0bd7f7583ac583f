"""What engines that speak chat say besides answers of the common kind: complaints of other shapes, and no answers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

Document = dict[str, Any]

WORDS = "too long"


def _complaint(document: Document) -> Callable[[Document, Any], Awaitable[None]]:
    async def behave(asked: Document, out: Any) -> None:
        await out.json(document, 400)

    return behave


async def _given_up(asked: Document, out: Any) -> None:
    """It lets go of a request before the answer is whole, and says so by the reason alone."""
    message = {"role": "assistant", "content": "one "}
    choice = {"index": 0, "finish_reason": "abort"}
    if not asked.get("stream"):
        await out.json({"id": "c", "model": "m", "choices": [{**choice, "message": message}]})
        return
    chunk = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": message}]}
    await out.events([_event(chunk), _event({**chunk, "choices": [{**choice, "delta": {}}]}), b"data: [DONE]\n\n"])


def _call(arguments: str) -> Callable[[Document, Any], Awaitable[None]]:
    async def behave(asked: Document, out: Any) -> None:
        call = {"id": "t", "function": {"name": "a", "arguments": arguments}}
        choice = {"index": 0, "message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}
        await out.json({"id": "c", "model": "m", "choices": [choice]})

    return behave


async def _no_count(asked: Document, out: Any) -> None:
    """Its `/tokenize` is another than vLLM's."""
    await out.json({"tokens": []})


def _event(document: Document) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


BEHAVIOURS = {
    "complaint-text": _complaint({"error": WORDS}),
    "complaint-object": _complaint({"object": "error", "message": WORDS, "code": 400}),
    "given-up": _given_up,
    "call-of-nothing": _call('""'),
    "call-of-no-json": _call("{"),
    "call-too-deep": _call('{"a":' * 100_000),  # nested deeper than any reader goes
    "no-count": _no_count,
}
"""Of the engine in `upstream.py`."""
