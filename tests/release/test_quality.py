"""The gate's figures, on scores whose answer is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from nexus_release.ports import RowScore
from nexus_release.quality import Comparison, compare, unusable
from nexus_release.steps.evaluate import QualityGate, choose, hold, incomparable

GATE = QualityGate()


def rows(count: int, log_probability: float, choice: int = 1, seed: int | None = None) -> list[RowScore]:
    noise = np.random.default_rng(seed).normal(0, 0.3, size=(count, 20)) if seed is not None else np.zeros((count, 20))
    return [RowScore([1] * 20, [log_probability + n for n in noise[row]], [choice] * 20) for row in range(count)]


def compared(base: list[RowScore], candidate: list[RowScore]) -> tuple[Comparison, Comparison]:
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
    other = [replace(row, choices=[1] * 15 + [2] * 5) for row in base]
    assert compared(base, other)[1].difference == pytest.approx(0.75)


def test_a_worse_model_is_refused_by_the_interval_s_bad_end() -> None:
    """Every other row is 8 % worse: 4 % on average, which is within the bound of 5 %; its interval is not."""
    base = rows(20, -2.0)
    worse = [*rows(10, -2.0), *rows(10, -2.0 - math.log(1.08))]
    perplexity, agreement = compared(base, worse)
    assert perplexity.difference < GATE.max_perplexity_increase < perplexity.high
    assert [figure.passed for figure in hold((perplexity, agreement), GATE)] == [False, True]


def test_pairing_takes_what_is_hard_for_both_out_of_the_interval() -> None:
    base = rows(50, -2.0, seed=5)
    worse = [replace(row, log_probabilities=[value - 0.01 for value in row.log_probabilities]) for row in base]
    perplexity, _ = compared(base, worse)
    assert perplexity.high - perplexity.low < 1e-9


def test_the_same_seed_gives_the_same_interval() -> None:
    base, other = rows(30, -2.0, seed=1), rows(30, -2.1, seed=2)
    assert compared(base, other) == compared(base, other)


def test_a_row_without_a_next_token_changes_nothing() -> None:
    base, other = rows(30, -2.0, seed=1), rows(30, -2.1, seed=2)
    empty = RowScore([], [], [])
    with_empty = compared([*base, empty], [*other, empty])
    assert with_empty[0].difference == pytest.approx(compared(base, other)[0].difference)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "no probabilities"),
        (math.inf, "no probabilities"),
        (-math.inf, "no probabilities"),
        (-1e5, "beyond measure"),
    ],
)
def test_what_cannot_be_compared_is_told(value: float, reason: str) -> None:
    good = rows(2, -1.0)
    bad = [good[0], RowScore([1] * 2, [-1.0, value], [1, 1])]
    fits = [good[0], RowScore([1] * 2, [-1.0, -1.0], [1, 1])]
    assert unusable(good) == ""
    assert reason in unusable(bad)
    assert incomparable(fits, bad).startswith("the quantized checkpoint ")
    assert incomparable(bad, fits).startswith("the base model ")


def test_no_held_out_token_is_told() -> None:
    assert incomparable([], []) == "the base model leaves no token to predict"


def test_one_row_proves_nothing_for_its_interval_has_no_width() -> None:
    base = [*rows(1, -2.0), RowScore([], [], [])]
    assert compared(base, base)[0].high == 0
    assert incomparable(base, base) == "1 held-out row is no sample: 2 are the least"
    assert incomparable(rows(2, -2.0), rows(2, -2.0)) == ""


def test_other_tokens_are_no_comparison() -> None:
    base = rows(2, -1.0)
    other = [base[0], replace(base[1], tokens=[2] * 20)]
    assert "other tokens" in incomparable(base, other)
    assert incomparable(base, base) == ""


def test_the_sample_does_not_depend_on_the_order_and_stays_when_rows_come() -> None:
    made = [{"messages": [{"role": "user", "content": str(number)}]} for number in range(100)]
    chosen = choose(made, 10)
    assert chosen == choose(made[::-1], 10)
    assert all(chat in choose(made[:50], 10) for chat in chosen if {"messages": chat} in made[:50])
    assert chosen != [row["messages"] for row in made[:10]]
