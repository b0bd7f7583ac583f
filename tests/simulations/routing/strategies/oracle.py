"""Knows at every moment what each engine has cached and has left to compute, of all gateways' requests: what a shared
index without delay or loss could know."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ..gateways import Made, Seen, Stateless
from ..texts import Question

WEIGHTS = (1.0, 1.5, 2.0, 3.0, 5.0)
"""What it can take a token to compute for, against one to wait for. To compute also delays those who come later and
throws out what they want; how much, no single figure says, so the best of these counts, in hindsight."""


class Oracle(Stateless):
    def __init__(self, weight: float) -> None:
        self._weight = weight

    def choose(self, question: Question, endpoints: Sequence[Seen], now: float) -> Seen:
        return min(endpoints, key=lambda one: self._cost(question, one))

    def _cost(self, question: Question, one: Seen) -> tuple[float, int]:
        engine, stats = one.engine, one.engine.stats()
        return engine.to_compute + self._weight * engine.uncached(question), stats.running + stats.waiting


def oracle(weight: float) -> Made:
    def made(rng: random.Random) -> Oracle:
        return Oracle(weight)

    return made
