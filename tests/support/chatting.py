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


async def _deep_call(asked: Document, out: Any) -> None:
    """Arguments that are nested deeper than any reader goes."""
    call = {"id": "t", "function": {"name": "a", "arguments": '{"a":' * 100_000}}
    choice = {"index": 0, "message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}
    await out.json({"id": "c", "model": "m", "choices": [choice]})


def _event(document: Document) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


BEHAVIOURS = {
    "complaint-text": _complaint({"error": WORDS}),
    "complaint-object": _complaint({"object": "error", "message": WORDS, "code": 400}),
    "given-up": _given_up,
    "deep-call": _deep_call,
}
"""Of the engine in `upstream.py`."""
