"""What a client gets: OpenAI's objects and their streamed form, field by field as vLLM writes them."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from nexus_worker.errors import ApiError
from nexus_worker.generation import Generation

END = b"data: [DONE]\n\n"


def event(content: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def error_event(error: ApiError) -> bytes:
    return event(error.envelope())


def usage(generation: Generation, *, with_details: bool) -> dict[str, Any]:
    prompt, answer, cached = len(generation.prompt), generation.tokens, generation.prefix.cached
    counted = {"prompt_tokens": prompt, "total_tokens": prompt + answer, "completion_tokens": answer}
    return {
        **counted,
        **({"prompt_tokens_details": {"cached_tokens": cached}} if with_details and cached is not None else {}),
    }


class Reply:
    """One answer's id and time, and the objects made of them."""

    _prefix: str
    _whole: str
    _chunk: str

    def __init__(self, model: str, *, with_details: bool = False) -> None:
        """`with_details`: usage tells what of the prompt was cached, where the engine knows."""
        self._model, self._with_details = model, with_details
        self._id, self._created = f"{self._prefix}-{uuid.uuid4().hex}", int(time.time())

    def opening(self) -> list[dict[str, Any]]:
        """Chunks that come before any text."""
        return []

    def piece(self, text: str) -> dict[str, Any]:
        return self._object(self._chunk, [self._part(text, None)])

    def closing(self, finish_reason: str | None) -> dict[str, Any]:
        return self._object(self._chunk, [self._part("", finish_reason)])

    def usage(self, generation: Generation) -> dict[str, Any]:
        return {**self._object(self._chunk, []), "usage": usage(generation, with_details=self._with_details)}

    def whole(self, text: str, generation: Generation) -> dict[str, Any]:
        choice = {**self._full(text), "logprobs": None, "finish_reason": generation.finish_reason, "index": 0}
        return {**self._object(self._whole, [choice]), "usage": usage(generation, with_details=self._with_details)}

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model, "choices": choices}

    def _part(self, text: str, finish_reason: str | None) -> dict[str, Any]:
        raise NotImplementedError

    def _full(self, text: str) -> dict[str, Any]:
        raise NotImplementedError


class ChatReply(Reply):
    _prefix, _whole, _chunk = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def opening(self) -> list[dict[str, Any]]:
        delta = {"role": "assistant", "content": ""}
        return [self._object(self._chunk, [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}])]

    def _part(self, text: str, finish_reason: str | None) -> dict[str, Any]:
        delta = {"content": text} if finish_reason is None else {}
        return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}

    def _full(self, text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text}}


class CompletionReply(Reply):
    _prefix, _whole, _chunk = "cmpl", "text_completion", "text_completion"

    def _part(self, text: str, finish_reason: str | None) -> dict[str, Any]:
        return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}

    def _full(self, text: str) -> dict[str, Any]:
        return {"text": text}
