"""One figure of what an endpoint has to do: what its last scrape said, and our own calls since. Values in, values out.

A scrape is seen by every gateway and counts the calls of all, but is up to a second old; our own calls are known at
once, but are a part. Together neither several gateways nor a burst within a second send all to one endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Scrape(NamedTuple):
    """What an engine says of itself."""

    waiting: float
    """Requests that have not begun (vLLM: `num_requests_waiting`)."""
    running: float
    cache_used: float = 0.0
    """0 to 1 of its KV cache."""
    prefill_tokens: float | None = None
    """Prompt tokens that wait to be computed, from an engine that says so."""
    answered: float | None = None
    """Requests that have ended since it began, from an engine that counts them."""


@dataclass(slots=True)
class Own:
    """Of one endpoint, of this gateway process: counted at each call's begin, first byte and end."""

    calls: int = 0
    tokens: float = 0.0
    """Uncached prompt tokens of calls that have no first byte yet."""
    calls_at_scrape: int = 0
    tokens_at_scrape: float = 0.0

    def scraped(self) -> None:
        """The scrape that is taken now counts what is under way now."""
        self.calls_at_scrape, self.tokens_at_scrape = self.calls, self.tokens


class Load(NamedTuple):
    tokens: float
    """Uncached prompt tokens that a new request waits for."""
    requests: float
    """Waiting and running."""
    cache_used: float = 0.0
    known: bool = True
    """False where the last scrapes failed: then `with_unknown` says what it is taken for."""


def load_of(scrape: Scrape | None, own: Own, mean_uncached: float) -> Load:
    """`mean_uncached`: uncached prompt tokens of a request of this model, as learned; what waits counts for so many,
    where the engine does not count tokens itself."""
    if scrape is None:
        return Load(own.tokens, own.calls, known=False)
    tokens = scrape.waiting * mean_uncached if scrape.prefill_tokens is None else scrape.prefill_tokens
    requests = scrape.waiting + scrape.running
    # No `max`: called for each endpoint with each request, and a comparison costs a third of a call.
    if own.tokens > own.tokens_at_scrape:
        tokens += own.tokens - own.tokens_at_scrape
    if own.calls > own.calls_at_scrape:
        requests += own.calls - own.calls_at_scrape
    return Load(
        tokens if tokens > own.tokens else own.tokens,
        requests if requests > own.calls else own.calls,
        scrape.cache_used,
    )


def with_unknown(loads: list[Load]) -> list[Load]:
    """An endpoint of which nothing is known is taken for as loaded as the known ones are on average, never for idle: an
    engine that is too busy to be scraped would else draw everybody."""
    known = [one for one in loads if one.known]
    if len(known) == len(loads) or not known:
        return loads
    tokens, requests = (sum(one[place] for one in known) / len(known) for place in (0, 1))
    return [
        one if one.known else Load(max(one.tokens, tokens), max(one.requests, requests), known=False) for one in loads
    ]
