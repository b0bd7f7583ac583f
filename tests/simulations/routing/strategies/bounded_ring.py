"""Consistent hashing with bounded loads as KubeAI has it, re-implemented from its description and its source of 2025: a
ring of 256 points an endpoint, the key is the adapter and the first 100 characters of the user's first message, and
who has more than 1.25 times the mean of this gateway's own calls is passed over."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Sequence
from hashlib import blake2b
from itertools import chain, islice

from ..gateways import Seen, Stateless
from ..texts import Question

POINTS = 256
FACTOR = 1.25


class BoundedRing(Stateless):
    def __init__(self, rng: random.Random) -> None:
        self._ring: list[tuple[int, str]] = []
        self._names: list[str] = []

    def choose(self, question: Question, endpoints: Sequence[Seen], now: float) -> Seen:
        self._follow([one.name for one in endpoints])
        by_name = {one.name: one for one in endpoints}
        calls = sum(one.calls for one in endpoints)
        bound = FACTOR * (calls + 1) / len(endpoints) if calls else 1
        begin = bisect_left(self._ring, (_hash(question.start), ""))
        order = (by_name[name] for _, name in chain(islice(self._ring, begin, None), self._ring))
        return next((one for one in order if one.calls + 1 <= bound), by_name[self._ring[begin % len(self._ring)][1]])

    def _follow(self, names: list[str]) -> None:
        if names != self._names:
            self._names = names
            self._ring = sorted((_hash(f"{name}{point}"), name) for name in names for point in range(POINTS))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
