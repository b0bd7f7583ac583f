"""Without a look at the prompt."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ..gateways import Seen, Stateless
from ..texts import Question


class Chance(Stateless):
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def choose(self, question: Question, endpoints: Sequence[Seen], now: float) -> Seen:
        return self._rng.choice(endpoints)


class LeastLoad(Stateless):
    """Fewest requests waiting and running, by the scrape and the own calls since; among equals by chance."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def choose(self, question: Question, endpoints: Sequence[Seen], now: float) -> Seen:
        least = min(one.requests for one in endpoints)
        return self._rng.choice([one for one in endpoints if one.requests == least])
