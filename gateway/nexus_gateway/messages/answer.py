"""A chat completion as an answer of the Messages API."""

from __future__ import annotations

import json
from typing import Any

Document = dict[str, Any]

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


class BadAnswer(Exception):
    """An answer that is no chat completion. The reason may be told to clients."""


def from_chat(chat: Document) -> Document:
    """Raises BadAnswer."""
    choices = chat.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict) or not isinstance(choice, dict):
        raise BadAnswer("its answer holds no message")
    return {
        "id": message_id(chat),
        "type": "message",
        "role": "assistant",
        "model": chat.get("model", ""),
        "content": _content(message),
        **stop_of(choice),
        "usage": usage_of(chat.get("usage")),
    }


def message_id(chat: Document) -> str:
    return f"msg_{chat.get('id', '')}"


def thinking_of(message: Document) -> str:
    """Engines have two names for it."""
    return message.get("reasoning_content") or message.get("reasoning") or ""


def stop_of(choice: Document) -> Document:
    """vLLM names the text that it stopped at in `stop_reason`."""
    reason, stopped_at = choice.get("finish_reason"), choice.get("stop_reason")
    if reason == "stop" and isinstance(stopped_at, str):
        return {"stop_reason": "stop_sequence", "stop_sequence": stopped_at}
    return {"stop_reason": STOP_REASONS.get(reason or "stop", "end_turn"), "stop_sequence": None}


def usage_of(usage: Any) -> Document:
    """Anthropic counts what the engine had kept apart from the rest of the prompt."""
    counts = usage if isinstance(usage, dict) else {}
    details = counts.get("prompt_tokens_details")
    prompt = _count(counts.get("prompt_tokens"))
    cached = min(prompt, _count(details.get("cached_tokens") if isinstance(details, dict) else 0))
    return {
        "input_tokens": prompt - cached,
        "output_tokens": _count(counts.get("completion_tokens")),
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
    }


def _content(message: Document) -> list[Document]:
    found: list[Document] = []
    if thinking := thinking_of(message):
        found.append({"type": "thinking", "thinking": thinking, "signature": ""})
    if text := message.get("content"):
        found.append({"type": "text", "text": text})
    for call in message.get("tool_calls") or []:
        function = call["function"]
        found.append({"type": "tool_use", "id": call["id"], "name": function["name"], "input": _input(function)})
    return found


def _input(function: Document) -> Document:
    try:
        parsed = json.loads(function.get("arguments") or "{}")
    except ValueError:
        raise BadAnswer("its call of a tool holds no JSON") from None
    if not isinstance(parsed, dict):
        raise BadAnswer("its call of a tool holds no object")
    return parsed


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 1 << 31 else 0
