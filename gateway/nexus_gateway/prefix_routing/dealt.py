"""What each endpoint of a model was given of new conversations lately, by this gateway.

Where a conversation begins there its later turns follow, long after a scrape says that there is room: whoever goes by
load alone gives one endpoint all that begin within seconds, and later its cache has no room for them."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

DEALT_SECONDS = 20.0
"""Over which; as measured (docs/benchmarks-routing.md), and three times that is hardly worse."""
_NOTHING = 1.0  # token


class Dealt:
    """Times are seconds of any clock that does not go back. What is long ago is forgotten, so that it has no more
    entries than there were endpoints lately."""

    def __init__(self, over_seconds: float = DEALT_SECONDS) -> None:
        self._over = over_seconds
        self._tokens: dict[int, float] = {}
        self._seen = 0.0

    def __len__(self) -> int:
        return len(self._tokens)

    def to(self, seeds: Sequence[int], now: float) -> list[float]:
        """Prompt tokens, those of `DEALT_SECONDS` ago at a third; in the order of the endpoints' seeds."""
        left, self._seen = exp((self._seen - now) / self._over), now
        self._tokens = {seed: tokens * left for seed, tokens in self._tokens.items() if tokens * left >= _NOTHING}
        return [self._tokens.get(seed, 0.0) for seed in seeds]

    def count(self, seed: int, tokens: float) -> None:
        """Now, which is when it was last asked `to` whom."""
        self._tokens[seed] = self._tokens.get(seed, 0.0) + tokens
