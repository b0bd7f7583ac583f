"""Why an answer ended, by the engine's account: one of a few words, for an engine may write anything there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

OTHER = "other"
_NOT_YET = ("queued", "in_progress")
"""Of a response: it runs in the background, or its stream goes on."""
ENDINGS = frozenset({
    *("stop", "length", "tool_calls", "function_call", "content_filter"),  # chat and completions
    *("end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"),  # Messages
    *("completed", "incomplete", "failed", "max_output_tokens"),  # Responses
})  # fmt: skip


def ending_of(document: dict[str, Any]) -> str:
    """Of a whole answer, or of an event; of several answers the first that says it. Empty where it says none."""
    inner = document.get("response") or document.get("delta") or document  # events carry what they are about
    return next((_word(value) for value in _said(document, inner) if value), "")


def ending_in(events: Iterable[bytes]) -> str:
    """Of a stream's last events, which may have their frames around them: the last one that says it. What is no object
    says nothing."""
    for event in reversed([*events]):
        try:
            document = json.loads(event[event.find(b"{") : event.rfind(b"}") + 1])
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict) and (ending := ending_of(document)):
            return ending
    return ""


def _said(document: dict[str, Any], inner: object) -> Iterable[object]:
    choices = document.get("choices")
    if isinstance(choices, list):
        yield from (choice.get("finish_reason") for choice in choices if isinstance(choice, dict))
    if isinstance(inner, dict):
        details = inner.get("incomplete_details")
        yield details.get("reason") if isinstance(details, dict) else None
        yield inner.get("stop_reason")
        status = inner.get("status") if inner.get("object") == "response" else None
        yield None if status in _NOT_YET else status


def _word(value: object) -> str:
    return value if isinstance(value, str) and value in ENDINGS else OTHER
