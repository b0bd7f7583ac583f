"""What one gateway knows: its own calls, and what it has scraped of each engine up to a second ago."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nexus_worker.engines.engine import Stats

from .engines import Engine
from .texts import Question

SCRAPED_EVERY = (0.5, 1.0)
"""Seconds, evenly between these."""


@dataclass
class Seen:
    """An endpoint, as one gateway sees it."""

    engine: Engine
    """For the oracle alone; all others read the rest."""
    since: float
    """When it came."""
    calls: int = 0
    """Of this gateway's, that are under way."""
    scraped: Stats | None = None
    answered: int = 0
    """Requests that the engine had answered then."""
    sent_since: int = 0
    """Own calls since the scrape."""
    ended_since: int = 0

    @property
    def name(self) -> str:
        return self.engine.name

    @property
    def requests(self) -> float:
        """Waiting and running: as scraped, and what this gateway has changed since."""
        if not self.scraped:
            return self.calls
        known = self.scraped.running + self.scraped.waiting + self.sent_since - self.ended_since
        return max(self.calls, known)


class Strategy(Protocol):
    """One gateway's choice. The four that follow tell it what becomes of its calls; most need none of it."""

    def choose(self, question: Question, endpoints: Sequence[Seen], now: float) -> Seen: ...

    def begun(self, question: Question, endpoint: Seen, cached: int) -> None: ...

    def ended(self, question: Question, endpoint: Seen) -> None: ...

    def scraped(self, endpoint: Seen, now: float) -> None: ...

    def gone(self, endpoint: Seen) -> None: ...

    def remembered(self) -> int:
        """Things it keeps of what it has been asked."""


class Stateless:
    """What a strategy does that remembers nothing."""

    def begun(self, question: Question, endpoint: Seen, cached: int) -> None:
        pass

    def ended(self, question: Question, endpoint: Seen) -> None:
        pass

    def scraped(self, endpoint: Seen, now: float) -> None:
        pass

    def gone(self, endpoint: Seen) -> None:
        pass

    def remembered(self) -> int:
        return 0


@dataclass
class Handled:
    question: Question
    engine: str
    first: float = 0.0
    """When its first token came."""
    cached: int = 0
    ended: float = 0.0


@dataclass
class Gateway:
    strategy: Strategy
    rng: random.Random
    endpoints: list[Seen] = field(default_factory=list)

    async def ask(self, question: Question) -> Handled:
        clock = asyncio.get_running_loop().time
        chosen = self.strategy.choose(question, self.endpoints, clock())
        handled = Handled(question, chosen.name)
        chosen.calls += 1
        chosen.sent_since += 1

        def begun(cached: int) -> None:
            handled.first, handled.cached = clock(), cached
            self.strategy.begun(question, chosen, cached)

        await chosen.engine.answer(question, begun)
        handled.ended = clock()
        chosen.calls -= 1
        chosen.ended_since += 1
        self.strategy.ended(question, chosen)
        return handled

    async def scrape(self) -> None:
        while True:
            for endpoint in self.endpoints:
                endpoint.scraped, endpoint.answered = endpoint.engine.stats(), endpoint.engine.answered
                endpoint.sent_since = endpoint.ended_since = 0
                self.strategy.scraped(endpoint, asyncio.get_running_loop().time())
            await asyncio.sleep(self.rng.uniform(*SCRAPED_EVERY))

    def resolve(self, engines: Sequence[Engine]) -> None:
        """Whom it may ask from now on. Those that are left out end what they have begun."""
        now = asyncio.get_running_loop().time()
        there = {one.name: one for one in self.endpoints}
        self.endpoints = [there.pop(engine.name, None) or Seen(engine, now) for engine in engines]
        for left in there.values():
            self.strategy.gone(left)


Made = Callable[[random.Random], Strategy]
"""A gateway's strategy, with chance of its own."""
