"""What rounds of load come to: percentiles over all their answers, and ratios within each round."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from .load import Load

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Figures:
    """Of one engine under one load. Times are milliseconds at PERCENTILES; empty where nothing was answered."""

    answered: int
    errors: dict[str, int]
    """What went wrong -> how often."""
    requests_per_second: float
    tokens_per_second: float
    first: list[float]
    gap: list[float]
    pace: list[float]
    whole: list[float]
    own_share: float
    """The most that the generator itself took of a core in any round."""


@dataclass(frozen=True)
class Ratio:
    """To the baseline of the same round: median, least and most of the rounds."""

    middle: float
    least: float
    most: float


def figures(rounds: Sequence[Load]) -> Figures:
    """Rates are over all rounds; an answer that failed counts in `errors` and nowhere else."""
    good = [answer for load in rounds for answer in load.answers if not answer.error]
    seconds = sum(load.seconds for load in rounds)
    return Figures(
        answered=len(good),
        errors=dict(sorted(Counter(one.error for load in rounds for one in load.answers if one.error).items())),
        requests_per_second=len(good) / seconds,
        tokens_per_second=sum(answer.tokens for answer in good) / seconds,
        first=_spread([answer.first for answer in good]),
        gap=_spread([gap for answer in good for gap in answer.gaps]),
        pace=_spread([answer.pace for answer in good]),
        whole=_spread([answer.whole for answer in good]),
        own_share=max(load.own_share for load in rounds),
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent do not exceed (nearest rank): always one that was seen."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def ratio(of: Sequence[Load], to: Sequence[Load], measured: Callable[[Figures], float]) -> Ratio | None:
    """None where a round has nothing to compare, or nothing to divide by."""
    pairs = [(figures([one]), figures([other])) for one, other in zip(of, to, strict=True)]
    if not all(one.answered and other.answered and measured(other) for one, other in pairs):
        return None
    found = [measured(one) / measured(other) for one, other in pairs]
    return Ratio(median(found), min(found), max(found))


def _spread(seconds: Sequence[float]) -> list[float]:
    return [percentile(seconds, percent) * 1000 for percent in PERCENTILES] if seconds else []
