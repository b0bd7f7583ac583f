"""What is compared of live traffic, and where each feature stands between its two bounds.

Every feature is in each decision line already and says nothing of what was said: how long people ask and are answered,
by which API, streamed or not, and why answers end. Failures, times and callers are none: no training mends them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from nexus_release.distributions import Distance, Measure, between_categories, between_numbers
from nexus_release.frozen import Frozen
from nexus_release.monitoring.decisions import Decision
from nexus_release.monitoring.policy import Hysteresis, Measuring
from nexus_release.names import Line
from nexus_release.record import decimal

Level = Literal["above", "between", "below", "unknown"]


class FeatureLevel(Frozen):
    """Figures are decimal strings."""

    feature: Line
    measure: Measure
    value: Line
    chance: Line
    """What chance alone exceeds with the probability `significance`, shared out among the features."""
    lower: Line
    upper: Line
    level: Level
    """`above`: the value is above the upper bound and above chance. `below`: it is not above the lower bound, or not
    above chance."""


def compare(now: Sequence[Decision], then: Sequence[Decision], by: Measuring) -> tuple[FeatureLevel, ...]:
    """A feature that either side says nothing of is left out."""
    return tuple(
        _told(name, distance, by.psi if distance.measure == "psi" else by.gap)
        for name, distance in _distances(now, then, by.significance / len(FEATURES))
    )


def level_of(features: Sequence[FeatureLevel]) -> Level:
    """Of a window: where its furthest feature is."""
    levels = {one.level for one in features}
    for level in ("above", "between", "below"):
        if level in levels:
            return level
    return "unknown"


def _distances(
    now: Sequence[Decision], then: Sequence[Decision], significance: float
) -> Iterator[tuple[str, Distance]]:
    for name, number in _NUMBERS.items():
        left, right = ([*filter(None, map(number, side))] for side in (now, then))
        if left and right:
            yield name, between_numbers(left, right, significance)
    for name, category in _CATEGORIES.items():
        if now and then:
            yield name, between_categories(Counter(map(category, now)), Counter(map(category, then)), significance)


def _told(name: str, distance: Distance, bounds: Hysteresis) -> FeatureLevel:
    return FeatureLevel(
        feature=name,
        measure=distance.measure,
        value=decimal(distance.value),
        chance=decimal(distance.chance),
        lower=decimal(bounds.lower),
        upper=decimal(bounds.upper),
        level=_level(distance, bounds),
    )


def _level(distance: Distance, bounds: Hysteresis) -> Level:
    if distance.value <= max(bounds.lower, distance.chance):
        return "below"
    return "above" if distance.value > bounds.upper else "between"


_NUMBERS: Mapping[str, Callable[[Decision], int]] = {
    "prompt tokens": lambda line: line.figures.prompt_tokens,
    "answer tokens": lambda line: line.figures.completion_tokens,
    "request bytes": lambda line: line.figures.request_bytes,
}
"""0 is a number that is not known."""
_CATEGORIES: Mapping[str, Callable[[Decision], str]] = {
    "api": lambda line: line.path,
    "stream": lambda line: str(line.figures.stream),
    "ending": lambda line: line.figures.ending or "none",
}
FEATURES = (*_NUMBERS, *_CATEGORIES)
