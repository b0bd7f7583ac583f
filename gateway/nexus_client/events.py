"""A stream of server-sent events as text, piece by piece, and what it amounts to in the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from nexus_client.answers import Answer, Provenance, Usage
from nexus_client.errors import BrokenOff

_END = "[DONE]"


class Listening:
    """Fed with the lines of a stream; the first event may be an error, and the last must be the end mark."""

    def __init__(self, provenance: Provenance) -> None:
        self.provenance = provenance
        self.ended = False
        self._pieces: list[str] = []
        self._reason: str | None = None
        self._usage: Usage | None = None
        self._events: list[dict[str, Any]] = []

    def heard(self, line: str) -> Iterator[str]:
        """The text in one line. Raises BrokenOff for an error event."""
        if not line.startswith("data:"):
            return
        data = line[5:].strip()
        if data == _END:
            self.ended = True
            return
        event = json.loads(data)
        if "error" in event:
            raise self.broken(str(event["error"].get("message", event["error"])))
        self._events.append(event)
        if usage := event.get("usage"):
            self._usage = Usage.of(usage)
        for choice in event.get("choices", ()):
            self._reason = choice.get("finish_reason") or self._reason
            if piece := choice.get("delta", {}).get("content"):
                self._pieces.append(piece)
                yield piece

    def answer(self) -> Answer:
        """Once the stream has ended. Raises BrokenOff where it ended too early."""
        if not self.ended:
            raise self.broken("the stream ended before its end mark")
        return Answer("".join(self._pieces), self._reason, self._usage, self.provenance, {"events": self._events})

    def broken(self, reason: str) -> BrokenOff:
        return BrokenOff(reason, "".join(self._pieces), self.provenance)
