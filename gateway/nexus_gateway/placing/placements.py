"""Where prompts are placed by this process: what it knows of each endpoint's load, and the choices by that."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf

from nexus_gateway.endpoints import Seen
from nexus_gateway.placing.known import Known
from nexus_gateway.prefix_routing.arrivals import Weights
from nexus_gateway.prefix_routing.choice import HOMELESS, Parameters, Place, Why, choose
from nexus_gateway.prefix_routing.dealt import Dealt
from nexus_gateway.prefix_routing.evenness import Evenness
from nexus_gateway.prefix_routing.keys import Keys, Source
from nexus_gateway.prefix_routing.learned import Learned
from nexus_gateway.prefix_routing.load import Load, Scrape, with_unknown
from nexus_gateway.prefix_routing.rendezvous import Seeds
from nexus_gateway.prefix_routing.width import NARROW, Widths, need_of
from nexus_gateway.routes import Endpoint, Upstream


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
    new: bool = False
    """True for a conversation that nobody who may be asked has answered, by the placement memory."""
    waits: bool = False
    """True from its call on until its first byte."""


class Placements:
    """Times are seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self.active = False
        """False where no upstream chooses by prefix: then nobody asks anything here."""
        self.remembers = False
        """True where one of them has a placement memory."""
        self._known: dict[str, Known] = {}
        self._newest = -inf
        """When the last endpoint came."""
        self._endpoints: dict[str, tuple[Endpoint, ...]] = {}
        self._seeds: dict[str, Seeds] = {}
        self._widths: dict[str, Widths] = {}
        self._evenness: dict[str, Evenness] = {}
        self._dealt: dict[str, Dealt] = {}
        self._learned: dict[str, Learned] = {}
        self._weights: dict[str, Weights] = {}

    def keep(self, upstreams: Collection[Upstream], now: float) -> None:
        """Takes a configuration: forgets what it does not name. The endpoints of an upstream that is new are all taken
        to be warm, those that come to it later begin slowly."""
        self.active = bool(upstreams)
        self.remembers = any(one.choice is not None and one.choice.memory_seconds > 0 for one in upstreams)
        before, self._endpoints = self._endpoints, {one.name: one.endpoints for one in upstreams}
        self._seeds = {one.name: Seeds([endpoint.seed for endpoint in one.endpoints]) for one in upstreams}
        named = set[str]()
        for name, endpoints in self._endpoints.items():
            ids = {one.id for one in endpoints}
            for new in ids - {one.id for one in before.get(name, endpoints)}:
                self._known[new] = Known(came=now)
                self._newest = now
            named |= ids
        for gone in self._known.keys() - named:
            del self._known[gone]
        for known in self._known.values():
            known.place = None
        for of_upstreams in (self._widths, self._evenness, self._dealt, self._learned, self._weights):
            for gone in of_upstreams.keys() - self._endpoints.keys():
                del of_upstreams[gone]

    def scraped(self, endpoint: str, scrape: Scrape | None, in_flight: int, now: float) -> None:
        """`in_flight`: our calls of it now."""
        self._of(endpoint).scraped(scrape, in_flight, now)

    def place(
        self,
        upstream: Upstream,
        parameters: Parameters,
        keys: Keys,
        size: int,
        seen: Sequence[Seen],
        now: float,
        holders: Collection[str] | None = None,
    ) -> Placed | None:
        """None where nobody may be asked now. Of those whose circuits admit and who do not rest, who is well; where
        nobody is, all, as `endpoints.choose` has it. `seen` is in the order of the upstream's endpoints. `holders`: who
        has answered the conversation lately; None where nobody knows."""
        able = [one for one in seen if one.admits and one.well and not one.resting]
        able = able or [one for one in seen if one.admits and not one.resting]
        if not able:
            return None
        learned = self._learned.setdefault(upstream.name, Learned())
        places = self._places(upstream, able, learned.mean_uncached, now, parameters.slow_start_seconds)
        seeds = self._seeds_of(upstream, places)
        tokens = learned.tokens(size)
        by_group: Sequence[int] = seeds.scores(keys.group)
        widths = self._widths.setdefault(upstream.name, Widths())
        bar = widths.of(keys.group, by_group, need_of(len(places)), tokens, now)
        if bar == NARROW:
            even = self._evenness.setdefault(upstream.name, Evenness())
            by_group = even.scores(keys.group, by_group, places, now)
        new = holders is not None and not any(one.id in holders for one in places)
        dealt = self._dealt.setdefault(upstream.name, Dealt()) if new else None
        given = dealt.to([one.seed for one in places], now) if dealt is not None else None
        weights = self._weights_of(upstream, places, now)
        gain = learned.gain
        choice = choose(keys, tokens, places, bar, parameters, holders or (), seeds, by_group, gain, given, weights)
        if dealt is not None and choice.why not in HOMELESS:
            dealt.count(places[choice.place].seed, tokens)
        return Placed(
            upstream.name,
            places[choice.place].id,
            places[choice.home].id,
            choice.why,
            choice.warm,
            choice.near,
            keys.source,
            choice.width,
            places[choice.place].load,
            places[choice.home].load,
            size,
            learned.uncached(tokens, choice.warm, choice.near),
            new,
        )

    def weights(self, upstream: Upstream, now: float) -> Sequence[float]:
        """Of its endpoints, in their order: 1 for each while all are alike."""
        return self._weights_of(upstream, upstream.endpoints, now) or [1.0] * len(upstream.endpoints)

    def short(self, upstream: Upstream, size: int) -> bool:
        """True for a body of so many bytes where its prompt is too short to be worth a home."""
        learned = self._learned.get(upstream.name) or Learned()
        return upstream.prefix is None or learned.tokens(size) < upstream.prefix.least_tokens

    def begun(self, placed: Placed) -> None:
        placed.waits = True
        self._of(placed.endpoint).waits(placed.uncached)

    def answered(self, placed: Placed) -> None:
        """Its first byte has come, or none will."""
        if placed.waits:
            placed.waits = False
            self._of(placed.endpoint).waits(-placed.uncached)

    def ended(self, placed: Placed, prompt_tokens: int, cached_tokens: int) -> None:
        """With the engine's account of the answer; 0 where it gave none."""
        self.answered(placed)
        learned = self._learned.get(placed.upstream)
        if learned is not None:
            learned.told(placed.size, prompt_tokens, cached_tokens, placed.warm, placed.near)

    def _of(self, endpoint: str) -> Known:
        known = self._known.get(endpoint)
        if known is None:
            known = self._known[endpoint] = Known()
        return known

    def _places(
        self, upstream: Upstream, able: Sequence[Seen], mean_uncached: float, now: float, slow_start: float
    ) -> Sequence[Place]:
        places, all_known, seeds = [], True, None
        for one in able:
            known = self._known.get(one.id) or self._of(one.id)
            place = known.place
            if place is None or known.stale(one.in_flight, mean_uncached):
                seeds = seeds or {endpoint.id: endpoint.seed for endpoint in upstream.endpoints}
                place = known.made(one.id, seeds[one.id], one.in_flight, mean_uncached)
            all_known = all_known and place.load.known
            places.append(place)
        if not all_known:
            loads = with_unknown([one.load for one in places])
            places = [one._replace(load=load) for one, load in zip(places, loads, strict=True)]
        if now - self._newest < slow_start:
            places = [one._replace(age=now - self._of(one.id).came) for one in places]
        return places

    def _weights_of(self, upstream: Upstream, of: Sequence[Place | Endpoint], now: float) -> Sequence[float] | None:
        weights = self._weights.setdefault(upstream.name, Weights())
        if weights.due(now):
            weights.reckon({one.id: self._of(one.id).arrived for one in upstream.endpoints}, now)
        return weights.of(one.id for one in of)

    def _seeds_of(self, upstream: Upstream, places: Sequence[Place]) -> Seeds:
        """Made already where none is left out, and the configuration is not an older one."""
        if len(places) == len(upstream.endpoints) and self._endpoints.get(upstream.name) is upstream.endpoints:
            return self._seeds[upstream.name]
        return Seeds([one.seed for one in places])
