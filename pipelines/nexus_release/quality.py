"""Is the quantized model as good as its base? Pure functions over the scores of both on the same rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nexus_release.ports import RowScore

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True)
class Comparison:
    """One figure of both models, and the interval of the difference that the gate looks at."""

    name: str
    base: float
    candidate: float
    difference: float
    low: float
    high: float


def finite(scores: Sequence[RowScore]) -> bool:
    return all(math.isfinite(value) for score in scores for value in score.log_probabilities)


def compare(
    base: Sequence[RowScore], candidate: Sequence[RowScore], *, confidence: float, resamples: int, seed: int
) -> tuple[Comparison, Comparison]:
    """(perplexity, agreement). Rows are resampled in pairs, so that what is hard in a row is hard for both; the
    interval is the percentile interval of the bootstrap (Efron and Tibshirani 1993, chapter 13).

    Perplexity is exp of the mean negative log-probability of a token over all rows; its difference is relative.
    Agreement is the share of positions at which both models find the same token most likely.
    """
    import numpy

    tokens = numpy.array([len(score.choices) for score in base], dtype=float)
    lost = [numpy.array([-sum(score.log_probabilities) for score in scores]) for scores in (base, candidate)]
    same = numpy.array(
        [sum(a == b for a, b in zip(x.choices, y.choices, strict=True)) for x, y in zip(base, candidate, strict=True)],
        dtype=float,
    )
    weights = _resampled(len(tokens), resamples, seed)
    all_tokens = weights @ tokens
    ratios = numpy.exp((weights @ (lost[1] - lost[0])) / all_tokens) - 1
    shares = (weights @ same) / all_tokens
    total = float(tokens.sum())
    before, after = (math.exp(float(values.sum()) / total) for values in lost)
    share = float(same.sum()) / total
    return (
        Comparison("perplexity", before, after, after / before - 1, *_interval(ratios, confidence)),
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
