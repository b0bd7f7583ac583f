"""How far two samples are apart, and how far chance alone would put them.

Categories: the population stability index, the sum over categories of (p - q) * ln(p / q), p and q being the
category's share of either sample. The rule of thumb is credit scoring's (E. M. Lewis, An Introduction to Credit
Scoring, 1992): below 0.1 nothing has changed, above 0.25 everything has. Where nothing has, the index is distributed
as (1/n + 1/m) times a chi-square of one degree less than there are categories (B. Yurdakul and J. Naranjo, Statistical
Properties of the Population Stability Index, Journal of Risk Model Validation 14(4), 2020).

Numbers: the two-sample Kolmogorov-Smirnov statistic, the largest gap between the two shares of numbers up to any one.
Where nothing has changed it exceeds sqrt(-ln(a / 2) / 2 * (1/n + 1/m)) with probability a (N. Smirnov, Annals of
Mathematical Statistics 19, 1948), and for numbers with ties less often than that.

Both take it that what is counted is independent; a burst of one caller's requests is not.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

Measure = Literal["psi", "ks"]

RARE = "(rare)"
_EXPECTED = 5  # of a category in the smaller sample; below it chi-square is no approximation (Cochran, 1954)
_UNSEEN = 0.5  # added to each count, so that a category which one side lacks has a logarithm


@dataclass(frozen=True)
class Distance:
    measure: Measure
    value: float
    """0 for equal shares. The statistic is 1 at most; the index has no end."""
    chance: float
    """What it exceeds, where nothing has changed, with the probability that was asked for."""


def between_categories(now: Mapping[str, int], then: Mapping[str, int], significance: float) -> Distance:
    """Of two counts, neither of them empty. Categories too rare to be told from chance are one."""
    sizes = sum(now.values()), sum(then.values())
    names = sorted(now.keys() | then.keys())
    common = {name for name in names if _expected(now.get(name, 0) + then.get(name, 0), *sizes) >= _EXPECTED}
    left, right = _pooled(now, common), _pooled(then, common)
    categories = sorted(left.keys() | right.keys())
    pairs = [(_share(left, name, len(categories)), _share(right, name, len(categories))) for name in categories]
    index = math.fsum((p - q) * math.log(p / q) for p, q in pairs)
    return Distance("psi", index, _chi_square(len(categories) - 1, significance) * _sampling(*sizes))


def between_numbers(now: Sequence[float], then: Sequence[float], significance: float) -> Distance:
    """Of two samples, neither of them empty."""
    chance = math.sqrt(-math.log(significance / 2) / 2 * _sampling(len(now), len(then)))
    return Distance("ks", _largest_gap(sorted(now), sorted(then)), chance)


def _sampling(n: int, m: int) -> float:
    return 1 / n + 1 / m


def _expected(both: int, n: int, m: int) -> float:
    return both * min(n, m) / (n + m)


def _pooled(counts: Mapping[str, int], common: set[str]) -> dict[str, int]:
    kept = {name: count for name, count in counts.items() if name in common}
    rare = sum(counts.values()) - sum(kept.values())
    return {**kept, RARE: rare} if rare else kept


def _share(counts: Mapping[str, int], name: str, categories: int) -> float:
    return (counts.get(name, 0) + _UNSEEN) / (sum(counts.values()) + _UNSEEN * categories)


def _chi_square(degrees: int, significance: float) -> float:
    """What a chi-square exceeds with that probability (E. B. Wilson and M. M. Hilferty, The Distribution of Chi-square,
    Proceedings of the National Academy of Sciences 17, 1931)."""
    if not degrees:
        return 0.0
    spread = 2 / (9 * degrees)
    return float(degrees * max(0.0, 1 - spread + NormalDist().inv_cdf(1 - significance) * math.sqrt(spread)) ** 3)


def _largest_gap(left: Sequence[float], right: Sequence[float]) -> float:
    """Of two sorted samples. Counted in whole numbers, so that it is the same on every machine."""
    n, m = len(left), len(right)
    i = j = gap = 0
    while i < n and j < m:
        value = min(left[i], right[j])
        i, j = bisect_right(left, value, i), bisect_right(right, value, j)
        gap = max(gap, abs(i * m - j * n))
    return gap / (n * m)
