"""What this process knows of one endpoint, and the place that it is in a choice: made again only when something of it
has changed, since a choice looks at all endpoints and most are as they were."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from nexus_gateway.prefix_routing.arrivals import Arrived
from nexus_gateway.prefix_routing.choice import Place
from nexus_gateway.prefix_routing.load import Own, Scrape, load_of


@dataclass(slots=True)
class Known:
    own: Own = field(default_factory=Own)
    scrape: Scrape | None = None
    arrived: Arrived = field(default_factory=Arrived)
    came: float = -inf
    """When it came to an upstream that had others before."""
    place: Place | None = None
    """As it was made last, of age; None where something has changed that `stale` does not see."""
    by_mean: float | None = None
    """The mean of uncached tokens that it was made with; None where it does not depend on that."""

    def stale(self, in_flight: int, mean_uncached: float) -> bool:
        return (
            self.place is None
            or self.own.calls != in_flight
            or (self.by_mean is not None and self.by_mean != mean_uncached)
        )

    def made(self, id: str, seed: int, in_flight: int, mean_uncached: float) -> Place:
        scrape = self.scrape
        self.own.calls = in_flight
        self.by_mean = mean_uncached if scrape and scrape.waiting and scrape.prefill_tokens is None else None
        self.place = Place(id, seed, load_of(scrape, self.own, mean_uncached))
        return self.place

    def scraped(self, scrape: Scrape | None, in_flight: int, now: float) -> None:
        self.scrape, self.place = scrape, None
        if scrape is not None:
            self.arrived.scraped(scrape, now)
            self.own.calls = in_flight
            self.own.scraped()

    def waits(self, tokens: float) -> None:
        """So many uncached tokens more, or fewer."""
        self.own.tokens = max(0.0, self.own.tokens + tokens)
        self.place = None
