"""A stream of server-sent events as text, piece by piece, and what it amounts to in the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from nexus_client.answers import Answer, Provenance, Usage
from nexus_client.errors import BrokenOff

_END = b"[DONE]"


class Listening:
    """Fed with the bytes of a stream; the first event may be an error, and the last must be the end mark."""

    def __init__(self, provenance: Provenance) -> None:
        self.provenance = provenance
        self.ended = False
        self._pieces: list[str] = []
        self._reason: str | None = None
        self._usage: Usage | None = None
        self._events: list[dict[str, Any]] = []
        self._begun = b""

    def heard(self, data: bytes) -> Iterator[str]:
        """The text in what came next. Raises BrokenOff for an error event, and for what is no event of OpenAI's API.

        Lines end by LF alone: U+2028 and its like, which httpx takes for ends too, may stand in a JSON text.
        """
        *lines, self._begun = (self._begun + data).split(b"\n")
        for line in lines:
            try:
                yield from self._said(line)
            except (AttributeError, TypeError, ValueError):
                raise self.broken("what answers there does not speak OpenAI's API") from None

    def _said(self, line: bytes) -> Iterator[str]:
        if not line.startswith(b"data:"):
            return
        data = line[5:].strip()
        if data == _END:
            self.ended = True
            return
        event = json.loads(data)
        if error := event.get("error"):
            raise self.broken(str(error.get("message", error)) if isinstance(error, dict) else str(error))
        self._events.append(event)
        if usage := event.get("usage"):
            self._usage = Usage.of(usage)
        for choice in event.get("choices") or ():
            self._reason = choice.get("finish_reason") or self._reason
            if piece := (choice.get("delta") or {}).get("content"):
                self._pieces.append(piece)
                yield piece

    def answer(self) -> Answer:
        """Once the stream has ended. Raises BrokenOff where it ended too early."""
        if not self.ended:
            raise self.broken("the stream ended before its end mark")
        return Answer("".join(self._pieces), self._reason, self._usage, self.provenance, {"events": self._events})

    def broken(self, reason: str) -> BrokenOff:
        return BrokenOff(reason, "".join(self._pieces), self.provenance)
