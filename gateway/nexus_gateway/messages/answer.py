"""A chat completion as an answer of the Messages API."""

from __future__ import annotations

import json
from typing import Any

Document = dict[str, Any]

_CUT_SHORT = {"length": "max_tokens", "content_filter": "refusal"}
_GIVEN_UP = ("abort", "error")  # of vLLM and SGLang: what has come is not the answer


class BadAnswer(Exception):
    """An answer that is no chat completion, or no whole one. The reason may be told to clients."""


class Untellable(BadAnswer):
    """A chat completion that has no form in the Messages API."""


def from_chat(chat: Document) -> Document:
    """Raises BadAnswer."""
    choices = chat.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict) or not isinstance(choice, dict):
        raise BadAnswer("its answer holds no message")
    calls = message.get("tool_calls") or []
    inputs = [_input(call) for call in calls]
    if None in inputs and not _stopped_short(choice):
        raise Untellable("its call of a tool holds no JSON")
    uses = [{**tool_use(chat, call, number), "input": inputs[number] or {}} for number, call in enumerate(calls)]
    return {
        "id": message_id(chat),
        "type": "message",
        "role": "assistant",
        "model": chat.get("model") or "",
        "content": [*_said(message), *uses],
        **stop_of(choice, called=bool(uses) and None not in inputs),
        "usage": usage_of(chat.get("usage")),
    }


def message_id(chat: Document) -> str:
    return f"msg_{chat.get('id', '')}"


def tool_use(chat: Document, call: Document, number: int) -> Document:
    """The block of a call without its input. Some engines give no ids; one that is made here is like no other of the
    conversation. Raises BadAnswer."""
    name = as_text(function_of(call).get("name"))
    if not name:
        raise BadAnswer("its call of a tool has no name")
    return {"type": "tool_use", "id": call.get("id") or f"{message_id(chat)}_{number}", "name": name, "input": {}}


def function_of(call: Document) -> Document:
    """Of a call, or of a piece of one."""
    return call.get("function") or {}


def thinking_of(message: Document) -> str:
    """Engines have two names for it. Raises BadAnswer."""
    return as_text(message.get("reasoning_content") or message.get("reasoning"))


def text_of(message: Document) -> str:
    """What the model says, or the words by which it refuses to. Raises BadAnswer."""
    return as_text(message.get("content") or message.get("refusal"))


def stop_of(choice: Document, *, called: bool) -> Document:
    """`called`: whether the answer has whole calls of tools. The engine need not say so itself: by OpenAI's reference
    a call that the client has forced ends with `stop`. vLLM names the text that it stopped at in `stop_reason`.
    Raises BadAnswer."""
    reason, stopped_at = choice.get("finish_reason"), choice.get("stop_reason")
    if reason in _GIVEN_UP:
        raise BadAnswer("it gave its answer up")
    if reason in _CUT_SHORT:
        return {"stop_reason": _CUT_SHORT[reason], "stop_sequence": None}
    if isinstance(stopped_at, str) and not (called and reason == "tool_calls"):
        return {"stop_reason": "stop_sequence", "stop_sequence": stopped_at}
    return {"stop_reason": "tool_use" if called else "end_turn", "stop_sequence": None}


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


def _said(message: Document) -> list[Document]:
    found: list[Document] = []
    if thinking := thinking_of(message):
        found.append({"type": "thinking", "thinking": thinking, "signature": ""})
    if text := text_of(message):
        found.append({"type": "text", "text": text})
    return found


def _input(call: Document) -> Document | None:
    """None for a call that is not whole, whose reader is told by the stop reason. Raises BadAnswer."""
    try:
        parsed = json.loads(as_text(function_of(call).get("arguments")) or "{}")
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict):
        raise Untellable("its call of a tool holds no object")
    return parsed


def _stopped_short(choice: Document) -> bool:
    """In the middle of whatever it was saying: by the bound on tokens or by a text of the client's."""
    return choice.get("finish_reason") == "length" or isinstance(choice.get("stop_reason"), str)


def as_text(value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise BadAnswer("its answer has no text where there should be one")
    return value or ""


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 1 << 31 else 0
