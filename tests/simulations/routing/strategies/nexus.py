"""The gateway's own functions (`nexus_gateway.prefix_routing`), driven as the gateway drives them."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from nexus_gateway.prefix_routing.arrivals import Arrived, Weights
from nexus_gateway.prefix_routing.choice import HOMELESS, Choice, Parameters, Place, choose
from nexus_gateway.prefix_routing.dealt import Dealt
from nexus_gateway.prefix_routing.evenness import Evenness
from nexus_gateway.prefix_routing.keys import Keys, Prompt, keys_of
from nexus_gateway.prefix_routing.learned import Learned
from nexus_gateway.prefix_routing.load import Own, Scrape, load_of, with_unknown
from nexus_gateway.prefix_routing.rendezvous import Seeds, seed_of
from nexus_gateway.prefix_routing.width import NARROW, Widths, need_of

from ..gateways import Seen
from ..texts import BYTES, Question

PENALTY_SECONDS = 18.0
"""llm-d's default."""


class Nexus:
    def __init__(self, rng: random.Random) -> None:
        self._widths, self._learned = Widths(), Learned(bytes_a_token=BYTES)
        self._evenness, self._dealt = Evenness(), Dealt()
        self._own: dict[str, Own] = {}
        self._arrived: dict[str, Arrived] = {}
        self._weights = Weights()
        self._seeds: dict[str, int] = {}
        self._under_way: dict[int, tuple[Choice, float]] = {}

    def choose(self, question: Question, endpoints: Sequence[Seen], now: float) -> Seen:
        parameters = Parameters(endpoints[0].engine.machine.pace.prefill_rate, PENALTY_SECONDS)
        keys, tokens = keys_of_question(question), self._learned.tokens(question.prompt * BYTES)
        places = self._places(endpoints, now)
        seeds = Seeds([one.seed for one in places])
        by_group: Sequence[int] = seeds.scores(keys.group)
        bar = self._widths.of(keys.group, by_group, need_of(len(places)), tokens, now)
        if bar == NARROW:
            by_group = self._evenness.scores(keys.group, by_group, places, now)
        holders, gain = self.holders(keys, now), self._learned.gain
        new = holders is not None and not any(one.id in holders for one in places)
        dealt = self._dealt.to([one.seed for one in places], now) if new else None
        weights = self._weights_of([one.name for one in endpoints], now)
        choice = choose(keys, tokens, places, bar, parameters, holders or (), seeds, by_group, gain, dealt, weights)
        chosen = endpoints[choice.place]
        if new and choice.why not in HOMELESS:
            self._dealt.count(places[choice.place].seed, tokens)
            self.begins(keys, chosen, now)
        self._sent(question, chosen.name, choice, tokens)
        return chosen

    def holders(self, keys: Keys, now: float) -> Collection[str] | None:
        """Engines that have answered the conversation lately; None where nobody says: nothing is remembered here."""
        return None

    def begins(self, keys: Keys, endpoint: Seen, now: float) -> None:
        """A new conversation, there."""

    def choice_of(self, question: Question) -> Choice:
        """Until its first token."""
        return self._under_way[id(question)][0]

    def _places(self, endpoints: Sequence[Seen], now: float) -> list[Place]:
        loads = with_unknown(
            [load_of(_scrape(one), self._own_of(one.name), self._learned.mean_uncached) for one in endpoints]
        )
        return [
            Place(one.name, self._seed(one.name), load, now - one.since if one.since else float("inf"))
            for one, load in zip(endpoints, loads, strict=True)
        ]

    def _own_of(self, name: str) -> Own:
        return self._own.setdefault(name, Own())

    def _seed(self, name: str) -> int:
        if name not in self._seeds:
            self._seeds[name] = seed_of(name)
        return self._seeds[name]

    def _sent(self, question: Question, name: str, choice: Choice, tokens: float) -> None:
        uncached = self._learned.uncached(tokens, choice.warm, choice.near)
        own = self._own_of(name)
        own.calls += 1
        own.tokens += uncached
        self._under_way[id(question)] = choice, uncached

    def begun(self, question: Question, endpoint: Seen, cached: int) -> None:
        choice, uncached = self._under_way.pop(id(question))
        self._own_of(endpoint.name).tokens -= uncached
        self._learned.told(question.prompt * BYTES, question.prompt, cached, choice.warm, choice.near)

    def ended(self, question: Question, endpoint: Seen) -> None:
        self._own_of(endpoint.name).calls -= 1

    def _weights_of(self, names: Sequence[str], now: float) -> Sequence[float] | None:
        if self._weights.due(now):
            self._weights.reckon({name: self._arrived.setdefault(name, Arrived()) for name in names}, now)
        return self._weights.of(names)

    def scraped(self, endpoint: Seen, now: float) -> None:
        self._own_of(endpoint.name).scraped()
        if (scrape := _scrape(endpoint)) is not None:
            self._arrived.setdefault(endpoint.name, Arrived()).scraped(scrape, now)

    def gone(self, endpoint: Seen) -> None:
        self._arrived.pop(endpoint.name, None)

    def remembered(self) -> int:
        return len(self._widths)


def keys_of_question(question: Question) -> Keys:
    return keys_of(Prompt(question.tenant, "model", head=question.head.encode(), start=question.start.encode()))


def _scrape(one: Seen) -> Scrape | None:
    found = one.scraped
    return Scrape(found.waiting, found.running, found.kv_cache, answered=one.answered) if found else None
