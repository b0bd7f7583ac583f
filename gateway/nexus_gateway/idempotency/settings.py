"""How long and how much is kept, and what is done while it cannot be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class IdempotencySettings:
    ttl_seconds: float = 600.0
    """Longer than the retries of any client's library go on, and short enough for what may be personal data."""
    largest: int = 1 << 20
    """Bytes of one answer that is kept: a quarter of a million tokens of text, some hundred embeddings."""
    total: int = 64 << 20
    """Bytes of all answers that are kept in this process; as much again may be under way."""
    entries: int = 10_000
    """Answers that are kept in this process."""
    lease_seconds: float = 10.0
    """After which a gateway that was killed holds no key any more."""
    fail_open: bool = False
