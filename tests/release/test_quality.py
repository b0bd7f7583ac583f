"""The gate's figures, on scores whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nexus_release.ports import RowScore
from nexus_release.quality import compare, finite
from nexus_release.steps.evaluate import QualityGate, hold

GATE = QualityGate()


def rows(count: int, log_probability: float, choice: int = 1, seed: int | None = None) -> list[RowScore]:
    noise = np.random.default_rng(seed).normal(0, 0.3, size=(count, 20)) if seed is not None else np.zeros((count, 20))
    return [RowScore([log_probability + n for n in noise[row]], [choice] * 20) for row in range(count)]


def compared(base: list[RowScore], candidate: list[RowScore]):  # type: ignore[no-untyped-def]  # what compare gives
    return compare(base, candidate, confidence=0.95, resamples=500, seed=0)


def test_the_same_model_is_the_same() -> None:
    perplexity, agreement = compared(rows(50, -2.0, seed=1), rows(50, -2.0, seed=1))
    assert (perplexity.difference, perplexity.low, perplexity.high) == (0, 0, 0)
    assert (agreement.difference, agreement.low) == (1, 1)


def test_perplexity_is_the_exponent_of_the_mean_loss() -> None:
    perplexity, _ = compared(rows(10, -2.0), rows(10, -2.1))
    assert perplexity.base == pytest.approx(math.exp(2.0))
    assert perplexity.difference == pytest.approx(math.exp(0.1) - 1)


def test_agreement_counts_positions() -> None:
    base = rows(10, -2.0)
    other = [RowScore(row.log_probabilities, [1] * 15 + [2] * 5) for row in base]
    assert compared(base, other)[1].difference == pytest.approx(0.75)


def test_a_worse_model_is_refused_by_the_interval_s_bad_end() -> None:
    """Every other row is 8 % worse: 4 % on average, which is within the bound of 5 %; its interval is not."""
    base = rows(20, -2.0)
    worse = [*rows(10, -2.0), *rows(10, -2.0 - math.log(1.08))]
    perplexity, agreement = compared(base, worse)
    assert perplexity.difference < GATE.max_perplexity_increase < perplexity.high
    assert [metric.passed for metric in hold((perplexity, agreement), GATE)] == [False, True]


def test_pairing_takes_what_is_hard_for_both_out_of_the_interval() -> None:
    base = rows(50, -2.0, seed=5)
    worse = [RowScore([value - 0.01 for value in row.log_probabilities], row.choices) for row in base]
    perplexity, _ = compared(base, worse)
    assert perplexity.high - perplexity.low < 1e-9


def test_the_same_seed_gives_the_same_interval() -> None:
    base, other = rows(30, -2.0, seed=1), rows(30, -2.1, seed=2)
    assert compared(base, other) == compared(base, other)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_seen(value: float) -> None:
    assert not finite([RowScore([-1.0, value], [1, 1])])
    assert finite(rows(2, -1.0))
