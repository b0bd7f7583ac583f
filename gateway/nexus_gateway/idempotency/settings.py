"""How long and how much is kept, and what is done while it cannot be."""

from __future__ import annotations

from dataclasses import dataclass

ASK_SECONDS = 1.0
"""For one batch that Redis is asked: answers of a megabyte are among them, and who is refused for a slow Redis has
asked for a promise."""
EXTENDS = 3
"""How often in the time of a lease its holder extends it."""
SHORTEST_LEASE = ASK_SECONDS / (1 - 1 / EXTENDS)
"""Seconds; of a shorter one in Redis the end could come before the word that extends it."""


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
