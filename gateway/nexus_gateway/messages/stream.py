"""A chat stream's events as those of the Messages API, as they come."""

from __future__ import annotations

import json
from typing import Any

from nexus_gateway.messages.answer import message_id, stop_of, thinking_of, usage_of
from nexus_gateway.stream import EventReader

Document = dict[str, Any]


class ChatToMessages:
    """Chat's bytes in, the other API's bytes out; the same ones however they are cut. Blocks follow each other: text,
    thinking and each call of a tool is one, begun with its first piece and ended with the next one's."""

    def __init__(self) -> None:
        self._out: list[bytes] = []
        self._reader = _Listening(self)
        self._begun = False
        self._block = -1
        """Number of the block that is open or was open last."""
        self._open = ""
        """What the open block is: `text`, `thinking` or `tool N`; empty where none is."""
        self._usage: Any = None
        self._stop: Document = stop_of({})

    def feed(self, data: bytes) -> bytes:
        """Raises BadStream. What comes after chat's end mark is passed over."""
        if not self._reader.done:
            self._reader.feed(data)
        out, self._out = b"".join(self._out), []
        return out

    @property
    def done(self) -> bool:
        """True once chat's end mark has come, and with it the other API's has gone out."""
        return self._reader.done

    def heard(self, document: Document) -> None:
        if not self._begun:
            self._begin(document)
        self._usage = document.get("usage") or self._usage
        choices = document.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else {}
        delta = choice.get("delta") or {}
        if thinking := thinking_of(delta):
            self._enter("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            self._delta({"type": "thinking_delta", "thinking": thinking})
        if text := delta.get("content"):
            self._enter("text", {"type": "text", "text": ""})
            self._delta({"type": "text_delta", "text": text})
        for call in delta.get("tool_calls") or []:
            self._call(call)
        if choice.get("finish_reason"):
            self._stop = stop_of(choice)

    def ended(self) -> None:
        self._leave()
        usage = usage_of(self._usage)
        self._tell({"type": "message_delta", "delta": self._stop, "usage": usage})
        self._tell({"type": "message_stop"})

    def _begin(self, document: Document) -> None:
        self._begun = True
        message = {
            "id": message_id(document),
            "type": "message",
            "role": "assistant",
            "model": document.get("model", ""),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_of(document.get("usage")),
        }
        self._tell({"type": "message_start", "message": message})

    def _call(self, call: Document) -> None:
        """The first piece of a call has its id and name, the others go on with its arguments."""
        function = call.get("function") or {}
        name = f"tool {call.get('index', 0)}"
        if call.get("id") and self._open != name:
            block = {"type": "tool_use", "id": call["id"], "name": function.get("name", ""), "input": {}}
            self._enter(name, block)
        if arguments := function.get("arguments"):
            self._delta({"type": "input_json_delta", "partial_json": arguments})

    def _enter(self, name: str, block: Document) -> None:
        if self._open == name:
            return
        self._leave()
        self._open, self._block = name, self._block + 1
        self._tell({"type": "content_block_start", "index": self._block, "content_block": block})

    def _leave(self) -> None:
        if self._open:
            self._tell({"type": "content_block_stop", "index": self._block})
            self._open = ""

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
