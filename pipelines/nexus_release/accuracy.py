"""How often the right choice is the most likely one, and how sure the difference between two models is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

from nexus_release.quality import Comparison

_HALVINGS = 60  # of [-1, 1]: far below the 4 digits that are kept


def picked(log_likelihoods: Sequence[float], choices: Sequence[str]) -> int:
    """The choice with the highest log-likelihood a character; the first of several.

    This is `acc_norm` of lm-evaluation-harness (lm_eval/api/task.py, `process_results` of multiple_choice: the argmax
    of each log-likelihood by its choice's length), so that a long answer does not lose for being long.
    """
    scores = [value / len(choice) for value, choice in zip(log_likelihoods, choices, strict=True)]
    return scores.index(max(scores))


def compare_accuracy(base: Sequence[bool], candidate: Sequence[bool], confidence: float) -> Comparison:
    """Shares of questions that each answers rightly; the difference is absolute.

    Both have answered the same questions, so only those count on which they differ; the interval is Tango's score
    interval for paired proportions (Tango 1998, Statistics in Medicine 17, 891-908). It keeps its coverage where few
    or no questions tell them apart, at which a bootstrap or Wald interval has no width and would prove anything.
    """
    pairs = list(zip(base, candidate, strict=True))
    won = sum(after and not before for before, after in pairs)
    lost = sum(before and not after for before, after in pairs)
    total = len(pairs)
    low, high = score_interval(won, lost, total, confidence)
    return Comparison("accuracy", sum(base) / total, sum(candidate) / total, (won - lost) / total, low, high)


def score_interval(won: int, lost: int, total: int, confidence: float) -> tuple[float, float]:
    """Of (won - lost) / total, by inverting the score test."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (won - lost) / total
    return (
        _crossing(lambda difference: _score(difference, won, lost, total) - z, -1.0, middle),
        _crossing(lambda difference: _score(difference, won, lost, total) + z, middle, 1.0),
    )


def _score(difference: float, won: int, lost: int, total: int) -> float:
    """The test statistic for a true `difference`: falls as the difference grows."""
    distance = won - lost - total * difference
    variance = total * (2 * _lost_share(difference, won, lost, total) + difference * (1 - difference))
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _lost_share(difference: float, won: int, lost: int, total: int) -> float:
    """Maximum-likelihood share of questions that only the base answers rightly, given the difference (Tango's q21)."""
    a = 2.0 * total
    b = -won - lost + (2 * total - won + lost) * difference
    c = -lost * difference * (1 - difference)
    return (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)


def _crossing(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses zero, by halving."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2
