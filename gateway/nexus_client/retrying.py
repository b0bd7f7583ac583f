"""Whether a request that has failed is sent again, and when. Decides; sends and waits for nothing.

Each try has the same idempotency key, so that a gateway gives the kept answer, or joins the call that is under way,
where an earlier try got so far. A stream whose text has begun is never sent again: its reader has seen it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

RETRIED = frozenset({408, 409, 429, 502, 503, 504})
"""409 is here for `idempotency_in_progress`; a conflict says `x-should-retry: false`."""


@dataclass(frozen=True)
class Retries:
    tries: int = 4
    """Together with the first."""
    first_seconds: float = 0.25
    longest_seconds: float = 8.0
    """Of one wait; a gateway that asks for a longer one is not asked again."""
    chance: Callable[[], float] = field(default=random.random, repr=False)
    """In [0, 1): clients that failed together come back apart."""

    def wait(self, tries: int, status: int | None = None, headers: Mapping[str, str] | None = None) -> float | None:
        """Seconds before the next try; None where there is none. `tries` have been made; `status` is None where no
        answer came.

        Exponential with full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        if tries >= self.tries or (status is not None and status not in RETRIED):
            return None
        said = headers or {}
        if said.get("x-should-retry") == "false":
            return None
        bound: float = min(self.longest_seconds, self.first_seconds * 2 ** (tries - 1))
        asked_for = _seconds(said.get("retry-after", ""))
        if asked_for > self.longest_seconds:
            return None
        return asked_for + bound * self.chance()


def _seconds(retry_after: str) -> float:
    """0 for a date, which no gateway of ours sends."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
