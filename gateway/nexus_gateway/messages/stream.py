"""A chat stream's events as those of the Messages API, as they come."""

from __future__ import annotations

import json
from itertools import takewhile
from typing import Any, NamedTuple

from nexus_gateway.messages.answer import (
    as_text,
    function_of,
    message_id,
    stop_of,
    text_of,
    thinking_of,
    tool_use,
    usage_of,
)
from nexus_gateway.stream import EventReader

Document = dict[str, Any]


class _OpenCall(NamedTuple):
    number: Any
    """The engine's own; not every engine has one."""
    id: str


class ChatToMessages:
    """Chat's bytes in, the other API's bytes out; the same ones however they are cut. Blocks follow each other: text,
    thinking and each call of a tool is one, begun with its first piece and ended with the next one's."""

    def __init__(self) -> None:
        self._out: list[bytes] = []
        self._reader = _Listening(self)
        self._head: Document = {}
        """What the message and its parts are named by: the id that the first event has."""
        self._block = -1
        """Number of the block that is open or was open last."""
        self._open = ""
        """The type of the open block; empty where none is."""
        self._call: _OpenCall | None = None
        """The call that the open block is of."""
        self._calls = 0
        self._usage: Any = None
        self._choice: Document = {}
        """The one that said why the answer ended."""

    def feed(self, data: bytes) -> bytes:
        """Raises BadStream, BadAnswer, and whatever a document of the wrong shape does. What comes after chat's end
        mark is passed over."""
        if not self._reader.done:
            self._reader.feed(data)
        out, self._out = b"".join(self._out), []
        return out

    @property
    def done(self) -> bool:
        """True once chat's end mark has come, and with it the other API's has gone out."""
        return self._reader.done

    def heard(self, document: Document) -> None:
        if not self._head:
            self._begin(document)
        self._usage = document.get("usage") or self._usage
        choices = document.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else {}
        self._said(choice.get("delta") or {})
        if choice.get("finish_reason"):
            self._choice = choice

    def ended(self) -> None:
        self._leave()
        stop = stop_of(self._choice, called=self._calls > 0)
        self._tell({"type": "message_delta", "delta": stop, "usage": usage_of(self._usage)})
        self._tell({"type": "message_stop"})

    def _begin(self, document: Document) -> None:
        self._head = {"id": document.get("id", "")}
        message: Document = {
            "id": message_id(document),
            "type": "message",
            "role": "assistant",
            "model": document.get("model") or "",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_of(document.get("usage")),
        }
        self._tell({"type": "message_start", "message": message})

    def _said(self, delta: Document) -> None:
        """An engine that sends several tokens at once may put the end of a call beside the text that comes after it,
        and the text before a call beside its beginning."""
        pieces = delta.get("tool_calls") or []
        going_on = list(takewhile(self._goes_on, pieces))
        for piece in going_on:
            self._argue(piece)
        if thinking := thinking_of(delta):
            self._enter("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            self._delta({"type": "thinking_delta", "thinking": thinking})
        if text := text_of(delta):
            self._enter("text", {"type": "text", "text": ""})
            self._delta({"type": "text_delta", "text": text})
        for piece in pieces[len(going_on) :]:
            if not self._goes_on(piece):
                self._begin_call(piece)
            self._argue(piece)

    def _goes_on(self, piece: Document) -> bool:
        """Whether it is more of the open call. Ollama gives several calls one index and each its own id, Gemini gives
        no index; other engines write the id in the first piece of a call alone, or in every piece."""
        if self._call is None or piece.get("index", self._call.number) != self._call.number:
            return False
        return not piece.get("id") or piece["id"] == self._call.id

    def _begin_call(self, piece: Document) -> None:
        """A call that has ended cannot go on: its piece has no name, and is refused rather than put in another's."""
        block = tool_use(self._head, piece, self._calls)
        self._leave()
        self._enter("tool_use", block)
        self._call = _OpenCall(piece.get("index", self._calls), piece.get("id") or "")
        self._calls += 1

    def _argue(self, piece: Document) -> None:
        if arguments := as_text(function_of(piece).get("arguments")):
            self._delta({"type": "input_json_delta", "partial_json": arguments})

    def _enter(self, kind: str, block: Document) -> None:
        if self._open == kind:
            return
        self._leave()
        self._open, self._block = kind, self._block + 1
        self._tell({"type": "content_block_start", "index": self._block, "content_block": block})

    def _leave(self) -> None:
        if self._open:
            self._tell({"type": "content_block_stop", "index": self._block})
            self._open, self._call = "", None

    def _delta(self, delta: Document) -> None:
        self._tell({"type": "content_block_delta", "index": self._block, "delta": delta})

    def _tell(self, event: Document) -> None:
        self._out.append(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())


class _Listening(EventReader):
    """Chat's own reader, that tells of every event."""

    def __init__(self, listener: ChatToMessages) -> None:
        super().__init__()
        self._listener = listener

    def heard(self, data: bytes) -> None:
        if self.done:
            self._listener.ended()
        else:
            self._listener.heard(self.document(data))
