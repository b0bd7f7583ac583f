"""The bodies of answers, as OpenAI's API has them."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal

from nexus_worker.generation import Piece

Kind = Literal["chat", "completion"]


@dataclass(frozen=True)
class Shape:
    """What all bodies of one answer share."""

    kind: Kind
    model: str
    prompt_tokens: int
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, text: str, last: Piece) -> dict[str, Any]:
        said = {"message": {"role": "assistant", "content": text}} if self.kind == "chat" else {"text": text}
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": last.reason}
        return {**self._head(), "choices": [choice], "usage": self.usage(last.tokens)}

    def opening(self) -> bytes:
        """A chat stream begins with the role; a completion stream with text."""
        return self._event([self._choice({"role": "assistant", "content": ""}, None)]) if self.kind == "chat" else b""

    def event(self, piece: Piece) -> bytes:
        return self._event([self._choice({"content": piece.text}, piece.reason)])

    def usage_event(self, tokens: int) -> bytes:
        return self._event([], usage=self.usage(tokens))

    def usage(self, tokens: int) -> dict[str, int]:
        prompt = self.prompt_tokens
        return {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}

    def _choice(self, delta: dict[str, str], reason: str | None) -> dict[str, Any]:
        said: dict[str, Any] = {"delta": delta} if self.kind == "chat" else {"text": delta["content"]}
        return {"index": 0, **said, "logprobs": None, "finish_reason": reason}

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        head = self._head(chunk=True)
        return b"data: " + json.dumps({**head, "choices": choices, **more}, ensure_ascii=False).encode() + b"\n\n"

    def _head(self, *, chunk: bool = False) -> dict[str, Any]:
        chat = self.kind == "chat"
        kind = "chat.completion.chunk" if chat and chunk else "chat.completion" if chat else "text_completion"
        return {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{self.id}",
            "object": kind,
            "created": self.created,
            "model": self.model,
        }


DONE = b"data: [DONE]\n\n"


def error_body(message: str, kind: str, code: int) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
