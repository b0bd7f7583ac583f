"""As many groups for each endpoint: chance alone gives one endpoint a third more of them than another, which then has
no room in its cache for all, and no time to compute what it has lost.

An endpoint keeps those of its groups that score highest for it, up to `MOST` times what is even; the others go to the
next in their order that has fewer than is even. So gateways that know the same groups agree, without a word between
them, and a group that comes or goes moves few others (consistent hashing with bounded loads, Mirrokni, Thorup and
Zadimoghaddam 2018, of groups in place of requests)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from nexus_gateway.prefix_routing.choice import Place
from nexus_gateway.prefix_routing.rendezvous import LARGEST
from nexus_gateway.prefix_routing.width import MEASURED_SECONDS, MOST_GROUPS

MOST = 1.1
EVENED = 16
"""Groups for each endpoint from which on anything is evened. Fewer have room in the caches however they fall, and to
even them would move homes whenever a group comes."""
KNOWN = 2.0
"""Times that a group has been asked for on average before anything is evened: who has heard of half of the groups
would move others than who has heard of all."""
RECKONED_SECONDS = 2.0


@dataclass(slots=True)
class _Group:
    first: int = 0
    """The seed of the endpoint that scores highest for it, and"""
    score: int = 0
    seen: float = 0.0
    asked: int = 0


class Evenness:
    """Of a model's groups that use one endpoint each; those that use several are even already. Each counts for one,
    whatever it asks: what is large uses several. Where endpoints have fewer than `EVENED` each, nothing is
    evened. Times are seconds of any clock that does not go back."""

    def __init__(self, most: int = MOST_GROUPS, over_seconds: float = MEASURED_SECONDS) -> None:
        self._most, self._over = most, over_seconds
        self._groups: OrderedDict[int, _Group] = OrderedDict()  # the one that was asked for longest ago first
        self._asked = 0
        self._reckoned = float("-inf")
        self._least: dict[int, int] = {}
        """Of endpoints with too many groups: the least score that they keep."""
        self._open: frozenset[int] = frozenset()
        """Endpoints with fewer than is even."""

    def __len__(self) -> int:
        return len(self._groups)

    def scores(self, group: int, scores: Sequence[int], places: Sequence[Place], now: float) -> Sequence[int]:
        """`scores`: of the places, for the group, which is counted. The same, but that for a group which its first
        endpoint does not keep those with room come before all others."""
        first = scores.index(max(scores))
        seed = places[first].seed
        self._count(group, seed, scores[first], now)
        if now - self._reckoned >= RECKONED_SECONDS:
            self._reckon([one.seed for one in places], now)
        if scores[first] >= self._least.get(seed, 0):
            return scores
        return [
            score if one.seed in self._open else score - LARGEST - 1 for score, one in zip(scores, places, strict=True)
        ]

    def _count(self, group: int, first: int, score: int, now: float) -> None:
        found = self._groups.get(group)
        if found is None:
            found = self._groups[group] = _Group()
            if len(self._groups) > self._most:
                self._forget_oldest()
        self._groups.move_to_end(group)
        found.first, found.score, found.seen = first, score, now
        found.asked += 1
        self._asked += 1

    def _forget_oldest(self) -> None:
        self._asked -= self._groups.popitem(last=False)[1].asked

    def _reckon(self, seeds: Sequence[int], now: float) -> None:
        self._reckoned, self._least = now, {}
        while next(iter(self._groups.values())).seen < now - self._over:
            self._forget_oldest()
        if self._asked < KNOWN * len(self._groups) or len(self._groups) < EVENED * len(seeds):
            return
        kept: dict[int, list[int]] = {seed: [] for seed in seeds}
        for one in self._groups.values():
            if one.first in kept:  # else its endpoint is not there now
                kept[one.first].append(one.score)
        even = sum(map(len, kept.values())) / len(seeds)
        self._open = frozenset(seed for seed, found in kept.items() if len(found) < even)
        for seed, found in kept.items():
            if len(found) > MOST * even:
                self._least[seed] = sorted(found, reverse=True)[int(MOST * even) - 1]
