"""What a copied request and its original did, side by side: one line of the log when both have ended."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from nexus_gateway.request import Request
from nexus_gateway.routes import Upstream
from nexus_gateway.telemetry.logs import LogWriter, event_line
from nexus_gateway.telemetry.record import RequestRecord

MOST_BYTES = 64 << 20
"""Of the bodies of copies that are under way."""


@dataclass(eq=False, slots=True)
class Copy:
    """One call of the engine that is tried out; nobody gets its answer."""

    route: str
    upstream: Upstream
    size: int
    """Bytes of its body."""
    started: float
    status: str = ""
    """The engine's, or `error`."""
    first_byte: float = 0.0
    ended: float = 0.0
    bytes: int = 0
    """Of its answer."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(slots=True)
class Shadows:
    """Copies under way. It belongs to the loop."""

    logs: LogWriter
    under_way: Counter[str] = field(default_factory=Counter)
    """By route."""
    bytes: int = 0

    def begin(self, request: Request, upstream: Upstream) -> Copy:
        copy = Copy(request.route.name, upstream, len(request.body), time.monotonic())
        self.under_way[copy.route] += 1
        self.bytes += copy.size
        request.record.shadow = Pair(request.record, copy, self.logs)
        return copy

    def end(self, copy: Copy) -> None:
        copy.ended = time.monotonic()
        self.under_way[copy.route] -= 1
        self.bytes -= copy.size


@dataclass(eq=False, slots=True)
class Pair:
    record: RequestRecord
    copy: Copy
    logs: LogWriter

    def told(self) -> None:
        """Called when either has ended; the later of the two writes the line."""
        if self.record.ended and self.copy.ended:
            self.logs.write(pair_line(self.record, self.copy))


def pair_line(record: RequestRecord, copy: Copy) -> dict[str, Any]:
    primary = {
        "upstream": record.upstream,
        "release": record.release or None,
        "status": str(record.status),
        **_times(record.started, record.first_byte, record.ended),
        "answer_bytes": record.answer_bytes,
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
    }
    shadow = {
        "upstream": copy.upstream.name,
        "release": copy.upstream.release or None,
        "status": copy.status,
        **_times(copy.started, copy.first_byte, copy.ended),
        "answer_bytes": copy.bytes,
        "prompt_tokens": copy.prompt_tokens,
        "completion_tokens": copy.completion_tokens,
    }
    ids = {"request_id": record.request_id, "trace_id": record.trace_id, "revision": record.revision}
    return event_line("shadow", **ids, route=copy.route, stream=record.stream, primary=primary, shadow=shadow)


def _times(started: float, first_byte: float, ended: float) -> dict[str, float | None]:
    return {
        "duration_ms": round((ended - started) * 1000, 3),
        "first_byte_ms": round((first_byte - started) * 1000, 3) if first_byte else None,
    }
