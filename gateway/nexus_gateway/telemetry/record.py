"""What is known of one request at its end: the source of its log line and of its metrics."""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN = "other"
"""What metrics call a model that no route has, so that labels stay bounded."""


@dataclass(slots=True)
class RequestRecord:
    method: str
    path: str
    """Route template."""
    client: str
    started: float
    """Of a clock that does not go back."""
    request_id: str = ""
    trace_id: str = ""
    status: int = 0
    key_id: str = ""
    route: str = ""
    upstream: str = ""
    release: str = ""
    revision: str = ""
    code: str = ""
    """Of the condition that ended it; empty for an answer."""
    reason: str = ""
    stream: bool = False
    first_byte: float = 0.0
    """When the answer's first byte went out; 0 where none did."""
    ended: float = 0.0
    upstream_started: float = 0.0
    upstream_status: str = ""
    """The engine's status, or `error`; empty where it was not asked."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    opened_circuit: bool = False
