"""Where prompts are placed by this process: what it knows of each endpoint's load, and the choices by that."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf

from nexus_gateway.endpoints import Seen
from nexus_gateway.prefix_routing.choice import Parameters, Place, Why, choose
from nexus_gateway.prefix_routing.keys import Keys, Source
from nexus_gateway.prefix_routing.learned import Learned
from nexus_gateway.prefix_routing.load import Load, Own, Scrape, load_of, with_unknown
from nexus_gateway.prefix_routing.rendezvous import scores
from nexus_gateway.prefix_routing.width import Widths, need_of
from nexus_gateway.routes import Upstream


@dataclass(slots=True)
class Placed:
    """One choice, and what is kept of it until its call has ended."""

    upstream: str
    endpoint: str
    home: str
    """Where it is asked unless leaving pays."""
    why: Why
    warm: bool
    near: bool
    source: Source
    width: int
    load: Load
    """Of the endpoint, before this request."""
    home_load: Load
    size: int
    """Bytes of the body."""
    uncached: float
    """Tokens that it is taken to have left to compute."""
    waits: bool = False
    """True from its call on until its first byte."""


class Placements:
    """Times are seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self.active = False
        """False where no upstream chooses by prefix: then nobody asks anything here."""
        self._owns: dict[str, Own] = {}
        self._scrapes: dict[str, Scrape] = {}
        self._came: dict[str, float] = {}
        """When an endpoint came that its upstream had not before."""
        self._known: dict[str, set[str]] = {}
        self._widths: dict[str, Widths] = {}
        self._learned: dict[str, Learned] = {}

    def keep(self, upstreams: Collection[Upstream], now: float) -> None:
        """Takes a configuration: forgets what it does not name. The endpoints of an upstream that is new are all taken
        to be warm, those that come to it later begin slowly."""
        self.active = bool(upstreams)
        known = {one.name: {endpoint.id for endpoint in one.endpoints} for one in upstreams}
        for name, endpoints in known.items():
            for new in endpoints - self._known.get(name, endpoints):
                self._came[new] = now
        named = set[str]().union(*known.values())
        for kept in (self._owns, self._scrapes, self._came):
            for gone in kept.keys() - named:
                del kept[gone]
        for of_upstreams in (self._widths, self._learned):
            for gone in of_upstreams.keys() - known.keys():
                del of_upstreams[gone]
        self._known = known

    def scraped(self, endpoint: str, scrape: Scrape | None, in_flight: int) -> None:
        """`in_flight`: our calls of it now."""
        if scrape is None:
            self._scrapes.pop(endpoint, None)
            return
        self._scrapes[endpoint] = scrape
        own = self._own(endpoint)
        own.calls = in_flight
        own.scraped()

    def place(
        self,
        upstream: Upstream,
        parameters: Parameters,
        keys: Keys,
        size: int,
        seen: Sequence[Seen],
        now: float,
        holders: Collection[str] = (),
    ) -> Placed | None:
        """None where nobody may be asked now. Of those whose circuits admit and who do not rest, who is well; where
        nobody is, all, as `endpoints.choose` has it."""
        able = [one for one in seen if one.admits and not one.resting]
        able = [one for one in able if one.well] or able
        if not able:
            return None
        learned = self._learned.setdefault(upstream.name, Learned())
        loads = with_unknown([self._load(one, learned) for one in able])
        seeds = {endpoint.id: endpoint.seed for endpoint in upstream.endpoints}
        places = [
            Place(one.id, seeds[one.id], load, now - self._came.get(one.id, -inf))
            for one, load in zip(able, loads, strict=True)
        ]
        tokens = learned.tokens(size)
        by_group = scores(keys.group, [one.seed for one in places])
        widths = self._widths.setdefault(upstream.name, Widths())
        bar = widths.of(keys.group, by_group, need_of(len(places)), tokens, now)
        choice = choose(keys, tokens, places, bar, parameters, holders, by_group, learned.gain)
        return Placed(
            upstream.name,
            places[choice.place].id,
            places[choice.home].id,
            choice.why,
            choice.warm,
            choice.near,
            keys.source,
            choice.width,
            loads[choice.place],
            loads[choice.home],
            size,
            learned.uncached(tokens, choice.warm, choice.near),
        )

    def begun(self, placed: Placed) -> None:
        placed.waits = True
        self._own(placed.endpoint).tokens += placed.uncached

    def answered(self, placed: Placed) -> None:
        """Its first byte has come, or none will."""
        if placed.waits:
            placed.waits = False
            own = self._own(placed.endpoint)
            own.tokens = max(0.0, own.tokens - placed.uncached)

    def ended(self, placed: Placed, prompt_tokens: int, cached_tokens: int) -> None:
        """With the engine's account of the answer; 0 where it gave none."""
        self.answered(placed)
        learned = self._learned.get(placed.upstream)
        if learned is not None:
            learned.told(placed.size, prompt_tokens, cached_tokens, placed.warm, placed.near)

    def _own(self, endpoint: str) -> Own:
        return self._owns.setdefault(endpoint, Own())

    def _load(self, seen: Seen, learned: Learned) -> Load:
        own = self._own(seen.id)
        own.calls = seen.in_flight
        return load_of(self._scrapes.get(seen.id), own, learned.mean_uncached)
