"""The gateways' figures from a Prometheus that scrapes them, by its HTTP API.

Raw samples are asked for and not `increase()`, which extrapolates: a count is a whole number, and the same blocks come
out whenever they are asked for. So nothing is kept between two looks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from nexus_release.adapters.prometheus import Prometheus
from nexus_release.canary.figures import PREFIX, Arms, Looked, Series, Values, added, block_of, buckets_of, growth
from nexus_release.errors import NexusError, Unreachable
from nexus_release.monitoring.windows import Window, written

_ALIVE = "gateway_in_flight_requests"
"""Every gateway always has it, so that one without a draw is told from one that is not there."""
_BEFORE = timedelta(minutes=5)  # a scrape that long before counts as what was at the beginning: Prometheus's own rule
_OWN_LABELS = {"__name__", "route", "release", "call", "ending", "le"}

Scrapes = dict[float, dict[Series, float]]
"""Time -> what one gateway said."""


class PrometheusFigures:
    """The port `Figures`."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus

    def look(self, arms: Arms, labels: Mapping[str, str], since: datetime, until: datetime, seconds: int) -> Looked:
        """Blocks of so many seconds from `since` on; the one that is not over yet is left out. Raises Unreachable."""
        count = int((until - since).total_seconds() // seconds)
        end = since + timedelta(seconds=count * seconds)
        gateways = self._gateways(arms, labels, since - _BEFORE, end) if count else {}
        if count and not any(when > since.timestamp() for one in gateways.values() for when in one):
            raise Unreachable("Prometheus has no figures of the gateways since then: it does not scrape them")
        buckets = buckets_of(values for one in gateways.values() for values in one.values())
        grown: dict[int, list[Values]] = {number: [] for number in range(count)}
        for scrapes in gateways.values():
            for when, values in _grown(scrapes):
                number = math.ceil((when - since.timestamp()) / seconds) - 1
                if number in grown:
                    grown[number].append(values)
        blocks = [
            block_of(_window(since, number, seconds), added(values), arms, buckets) for number, values in grown.items()
        ]
        return Looked("prometheus", tuple(blocks), buckets)

    def _gateways(
        self, arms: Arms, labels: Mapping[str, str], since: datetime, until: datetime
    ) -> dict[tuple[tuple[str, str], ...], Scrapes]:
        """By what Prometheus calls each."""
        seconds = math.ceil((until - since).total_seconds())
        mine = "".join(f",{name}={json.dumps(value)}" for name, value in sorted(labels.items()))
        drawn = (
            f'{{__name__=~"{PREFIX}.+",route={json.dumps(arms.model)},release=~"{arms.stable}|{arms.canary}"{mine}}}'
        )
        alive = f'{{__name__="{_ALIVE}"{mine}}}'
        found: dict[tuple[tuple[str, str], ...], Scrapes] = {}
        for selector in (alive, drawn):
            for one in self._asked(f"{selector}[{seconds}s]", until):
                scrapes = found.setdefault(_who(one["metric"]), {})
                for when, value in one["values"]:
                    values = scrapes.setdefault(float(when), {})
                    if selector is drawn:
                        values[_series(one["metric"])] = float(value)
        return found

    def _asked(self, selector: str, at: datetime) -> list[Any]:
        """Whatever stands in the way of figures is one thing to who waits for them."""
        try:
            return self._prometheus.samples(selector, at)
        except (NexusError, ValueError, LookupError, TypeError) as error:
            raise Unreachable(f"no figures of Prometheus: {error}") from None


def _grown(scrapes: Scrapes) -> Iterator[tuple[float, dict[Series, float]]]:
    """From each scrape to the next. What a gateway had counted when it was first seen is not of this time."""
    times = sorted(scrapes)
    for before, after in pairwise(times):
        yield after, growth(scrapes[before], scrapes[after])


def _who(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in labels.items() if name not in _OWN_LABELS))


def _series(labels: Mapping[str, str]) -> Series:
    last = labels.get("call") or labels.get("ending") or labels.get("le") or ""
    return labels["__name__"].removeprefix(PREFIX), labels.get("release", ""), last


def _window(since: datetime, number: int, seconds: int) -> Window:
    begin = (since + timedelta(seconds=number * seconds)).astimezone(UTC)
    return Window(since=written(begin), until=written(begin + timedelta(seconds=seconds)))
