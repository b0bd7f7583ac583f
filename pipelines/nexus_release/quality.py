"""Is the quantized model as good as its base? Pure functions over the scores of both on the same rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nexus_release.ports import RowScore

if TYPE_CHECKING:
    import numpy

_HOPELESS = 50.0
"""Nats a token on one row. Guessing blindly costs ln(vocabulary), below 13; perplexity soon leaves a float's range."""


@dataclass(frozen=True)
class Comparison:
    """One figure of both models, and the interval of the difference that the gate looks at."""

    name: str
    base: float
    candidate: float
    difference: float
    low: float
    high: float


def unusable(scores: Sequence[RowScore]) -> str:
    """Why these scores allow no comparison; empty where they do."""
    values = [value for score in scores for value in score.log_probabilities]
    if not values:
        return "leaves no token to predict"
    if not numbers(values):
        return "gives numbers that are no probabilities"
    worst = max(loss(score) for score in scores)
    return f"is beyond measure: it loses {worst:.0f} nats a token on one row" if worst > _HOPELESS else ""


def numbers(values: Sequence[float]) -> bool:
    return all(map(math.isfinite, values))


def loss(score: RowScore) -> float:
    """Mean, in nats a token."""
    return -sum(score.log_probabilities) / len(score.log_probabilities) if score.log_probabilities else 0.0


def compare(
    base: Sequence[RowScore], candidate: Sequence[RowScore], *, confidence: float, resamples: int, seed: int
) -> tuple[Comparison, Comparison]:
    """(perplexity, agreement). Rows are resampled in pairs, so that what is hard in a row is hard for both; the
    interval is the percentile interval of the bootstrap (Efron and Tibshirani 1993, chapter 13).

    Perplexity is exp of the mean negative log-probability of a token over all rows; its difference is relative.
    Agreement is the share of positions at which both models find the same token most likely.
    Neither side is `unusable`, and both have scored the same tokens; rows without a predicted position do not count.
    """
    import numpy

    pairs = [(x, y) for x, y in zip(base, candidate, strict=True) if x.tokens]
    tokens = numpy.array([len(x.tokens) for x, _ in pairs], dtype=float)
    before, after = (numpy.array([loss(score) for score in side]) * tokens for side in zip(*pairs, strict=True))
    same = numpy.array([sum(a == b for a, b in zip(x.choices, y.choices, strict=True)) for x, y in pairs], dtype=float)
    drawn = _resampled(len(pairs), resamples, seed)
    drawn_tokens = drawn @ tokens
    ratios = numpy.exp((drawn @ (after - before)) / drawn_tokens) - 1
    shares = (drawn @ same) / drawn_tokens
    total = float(tokens.sum())
    mean, change = float(before.sum()) / total, float((after - before).sum()) / total
    share = float(same.sum()) / total
    return (
        Comparison(
            "perplexity", math.exp(mean), math.exp(mean + change), math.expm1(change), *_interval(ratios, confidence)
        ),
        Comparison("agreement", 1.0, share, share, *_interval(shares, confidence)),
    )


def _resampled(rows: int, resamples: int, seed: int) -> numpy.ndarray:
    """How often each row is drawn in each resample, [resamples, rows]."""
    import numpy

    return numpy.random.default_rng(seed).multinomial(rows, [1 / rows] * rows, size=resamples).astype(float)


def _interval(values: numpy.ndarray, confidence: float) -> tuple[float, float]:
    import numpy

    tail = (1 - confidence) / 2
    low, high = numpy.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
