"""As many requests for each endpoint while all have queues: chance gives one of them more living conversations than its
cache holds, and from then on each of their turns is computed anew.

Engines count what they were asked, for all gateways. An endpoint that was asked more than the mean loses, of the
conversations that may be at several, those that it is nearest to losing: scores are weighed. All gateways see the same
counters, so they agree as nearly as their scrapes do.

Whoever moves is computed anew once. So nothing is weighed where little waits: there is time for what chance loses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf

from nexus_gateway.prefix_routing.load import Scrape

ARRIVED_SECONDS = 60.0
"""Over which arrivals are measured. By less, chance moves more; by more, it is learned when they have ended."""
WAITING_SECONDS = 20.0
"""Over which waiting requests are."""
QUEUED = 5.0, 60.0
"""Waiting requests for each endpoint, on average: at the first weights begin, at the second they are whole. They are so
far apart since a strength that changes moves conversations too."""
STEEP = 2.0
"""A weight is the mean over an endpoint's arrivals to this power. It changes what it is reckoned from, so that a third
of an excess stays; with more power more moves than that is worth."""
LARGEST_WEIGHT = 2.0
"""And its inverse is the least: who comes back had no arrivals, and is not given at once all that it did not get."""
LEAST_SEEN = 0.4
"""The part of the average that must have been seen of an endpoint: half a minute. Until then it has the mean."""
FRESH_SECONDS = 2 * ARRIVED_SECONDS
"""After which an endpoint whose scrapes fail has the mean too: what waited there then says nothing of now. Two of the
longest intervals between scrapes."""
_RECKONED_SECONDS = 1.0


@dataclass(slots=True)
class Arrived:
    """At one endpoint, as its engine counts. Times are seconds of any clock that does not go back."""

    rate: float = 0.0
    """Requests a second, and"""
    waiting: float = 0.0
    """waiting requests: averages, in which what has not been seen counts for nothing."""
    seen: float = 0.0
    seen_waiting: float = 0.0
    """0 to 1: how much of them has been seen."""
    at: float = -inf
    count: float = 0.0

    def scraped(self, scrape: Scrape, now: float) -> None:
        if scrape.answered is None:  # it does not count
            return
        seconds, before = now - self.at, self.count
        if seconds <= 0:
            return
        self.at, self.count = now, scrape.answered + scrape.waiting + scrape.running
        if seconds == inf:
            return
        came = max(0.0, self.count - before)  # one that began anew counts from 0
        part, part_waiting = 1 - exp(-seconds / ARRIVED_SECONDS), 1 - exp(-seconds / WAITING_SECONDS)
        self.rate += part * (came / seconds - self.rate)
        self.seen += part * (1 - self.seen)
        self.waiting += part_waiting * (scrape.waiting - self.waiting)
        self.seen_waiting += part_waiting * (1 - self.seen_waiting)


class Weights:
    """Of the endpoints of one model, by id; reckoned once a second."""

    def __init__(self) -> None:
        self._found: Mapping[str, float] = {}
        self._reckoned = -inf

    def due(self, now: float) -> bool:
        return now - self._reckoned >= _RECKONED_SECONDS

    def reckon(self, arrived: Mapping[str, Arrived], now: float) -> None:
        self._found, self._reckoned = weighed(arrived, now), now

    def of(self, ids: Iterable[str]) -> Sequence[float] | None:
        """None while all are alike."""
        return [self._found.get(id, 1.0) for id in ids] if self._found else None


def weighed(arrived: Mapping[str, Arrived], now: float) -> Mapping[str, float]:
    """Of those of whom enough has been seen, and lately; empty where little waits."""
    fresh = now - FRESH_SECONDS
    known = {id: one for id, one in arrived.items() if one.seen >= LEAST_SEEN and one.at >= fresh}
    begin, whole = QUEUED
    waiting = sum([one.waiting / one.seen_waiting for one in known.values()]) / max(1, len(known))
    rates = {id: one.rate / one.seen for id, one in known.items()}
    mean = sum(rates.values()) / max(1, len(rates))
    if waiting <= begin or not mean:
        return {}
    strength = min(1.0, (waiting - begin) / (whole - begin))
    return {id: _weight(rate, mean) ** strength for id, rate in rates.items()}


def _weight(rate: float, mean: float) -> float:
    most: float = LARGEST_WEIGHT ** (1 / STEEP)
    less = most if rate * most <= mean else mean / rate
    return float(max(less, 1 / most) ** STEEP)
