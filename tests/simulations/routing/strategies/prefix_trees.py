"""Trees of prompts, one a gateway, as `cache_aware` of vllm-router 0.1.17, sglang-router 0.3.2 and smg 1.13 keeps them;
re-implemented from their documentation and source, with the defaults of their command lines, which are the same. Ours
compare blocks of tokens where theirs compare characters, and forget nothing within a run (theirs keep 33 to 67 million
characters an endpoint)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import sqrt

from ..gateways import Seen, Stateless
from ..texts import Question

MATCH = 0.3
"""The least share of a prompt that has to be known."""
ABSOLUTE, RELATIVE = 64, 1.5
"""Differences of load from which on load decides."""


class Tree:
    """Which endpoints have been asked which beginnings."""

    def __init__(self) -> None:
        self._nodes: dict[bytes, dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def match(self, question: Question) -> tuple[float, Sequence[str]]:
        """The share that is known, and who has it, latest last."""
        chain, known = question.chain, 0
        while known < len(chain) and self._nodes.get(chain[known]):
            known += 1
        return known / len(chain), tuple(self._nodes[chain[known - 1]]) if known else ()

    def add(self, question: Question, endpoint: str) -> None:
        for name in question.chain:
            holders = self._nodes.setdefault(name, {})
            holders.pop(endpoint, None)
            holders[endpoint] = None

    def remove(self, endpoint: str) -> None:
        for holders in self._nodes.values():
            holders.pop(endpoint, None)


class _WithTree(Stateless):
    def __init__(self, rng: random.Random) -> None:
        self.tree = Tree()

    def gone(self, endpoint: Seen) -> None:
        self.tree.remove(endpoint.name)

    def remembered(self) -> int:
        return len(self.tree)


class CacheAware(_WithTree):
    """vllm-router and sglang-router: the endpoint that knows most of the prompt, unless this gateway's own calls are
    out of balance or little is known; then the one with fewest calls."""

    def choose(self, question: Question, endpoints: Sequence[Seen], now: float) -> Seen:
        chosen = self._by_tree(question, endpoints) or min(endpoints, key=lambda one: one.calls)
        self.tree.add(question, chosen.name)
        return chosen

    def _by_tree(self, question: Question, endpoints: Sequence[Seen]) -> Seen | None:
        calls = [one.calls for one in endpoints]
        if max(calls) - min(calls) > ABSOLUTE and max(calls) > RELATIVE * min(calls):
            return None
        known, holders = self.tree.match(question)
        return next((one for one in endpoints if one.name == holders[-1]), None) if known > MATCH else None


class ExpectedWait(_WithTree):
    """smg: who knows the prompt, unless it is well above the mean of this gateway's calls; among several, and where
    nobody may, the shortest expected wait by the scrape and the calls since. It has the scrapes of all others here,
    which are ten times as frequent as its default, and its default protection of who is overloaded."""

    PROMPT, THROUGHPUT, PRESSURE = 1024, 2000.0, 0.15
    WAITING, USED = 8, 0.8

    def choose(self, question: Question, endpoints: Sequence[Seen], now: float) -> Seen:
        able = [one for one in endpoints if not self._overloaded(one)] or endpoints
        mean = sum(one.calls for one in able) / len(able)
        margin = min(ABSOLUTE, max(4.0, 2 * sqrt(mean)))
        light = [one for one in able if one.calls <= max(mean * RELATIVE, mean + margin)] or able
        known, holders = self.tree.match(question)
        warm = [one for one in light if one.name in holders] if known > MATCH else []
        chosen = min(warm or light, key=self._wait)
        self.tree.add(question, chosen.name)
        return chosen

    def _overloaded(self, one: Seen) -> bool:
        return one.scraped is not None and (one.scraped.waiting >= self.WAITING or one.scraped.kv_cache >= self.USED)

    def _wait(self, one: Seen) -> float:
        if not one.scraped:
            return float(one.calls)
        used = min(one.scraped.kv_cache, 0.999)
        work = (one.scraped.waiting + one.sent_since) * self.PROMPT / self.THROUGHPUT
        return work + self.PRESSURE * used / (1 - used)
