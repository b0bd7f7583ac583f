"""Which choice is picked, and what the interval of a difference is worth."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from nexus_release.accuracy import compare_accuracy, picked, score_interval

Z = NormalDist().inv_cdf(0.975)


def test_a_long_answer_does_not_lose_for_being_long() -> None:
    choices = ["no", "a much longer answer"]
    assert picked([-2.0, -10.0], choices) == 1
    assert picked([-0.9, -10.0], choices) == 0
    assert picked([-2.0, -2.0], ["ab", "cd"]) == 0


def answers(both: int, lost: int, won: int, neither: int) -> tuple[list[bool], list[bool]]:
    base = [True] * (both + lost) + [False] * (won + neither)
    candidate = [True] * both + [False] * lost + [True] * won + [False] * neither
    return base, candidate


def test_shares_and_their_difference() -> None:
    found = compare_accuracy(*answers(60, 10, 5, 25), 0.95)
    assert (found.base, found.candidate) == (0.7, 0.65)
    assert found.difference == pytest.approx(-0.05)
    assert found.low < -0.05 < found.high


@pytest.mark.parametrize("total", [20, 100, 1000])
def test_models_that_answer_alike_leave_what_so_many_questions_cannot_tell(total: int) -> None:
    """Closed form of the score interval without a discordant pair: z^2 / (n + z^2). A bootstrap would say 0."""
    low, high = score_interval(0, 0, total, 0.95)
    assert (low, high) == pytest.approx((-(Z**2) / (total + Z**2), Z**2 / (total + Z**2)))


@pytest.mark.parametrize(("won", "lost", "total"), [(3, 9, 50), (0, 4, 30), (12, 2, 50), (1, 0, 200), (30, 0, 30)])
def test_the_ends_are_where_the_score_test_just_does_not_refuse(won: int, lost: int, total: int) -> None:
    """Held against the likelihood itself, maximised over a grid for the difference at each end."""
    for end, sign in zip(score_interval(won, lost, total, 0.95), (1, -1), strict=True):
        if abs(end) > 1 - 1e-9:
            continue
        least = max(0.0, -end)
        grid = least + (np.arange(1, 400_000) / 400_000) * ((1 - end) / 2 - least)
        likelihood = won * np.log(grid + end) + lost * np.log(grid) + (total - won - lost) * np.log(1 - 2 * grid - end)
        lost_share = grid[int(np.nanargmax(np.where(np.isfinite(likelihood), likelihood, -np.inf)))]
        variance = total * (2 * lost_share + end - end**2)
        assert (won - lost - total * end) / math.sqrt(variance) == pytest.approx(sign * Z, rel=2e-2)


def test_both_sides_are_mirrored() -> None:
    low, high = score_interval(3, 9, 50, 0.95)
    assert score_interval(9, 3, 50, 0.95) == pytest.approx((-high, -low))


def test_more_questions_and_less_confidence_make_it_narrower() -> None:
    def width(won: int, lost: int, total: int, confidence: float) -> float:
        low, high = score_interval(won, lost, total, confidence)
        return high - low

    assert width(30, 90, 500, 0.95) < width(3, 9, 50, 0.95) < width(3, 9, 50, 0.99)


@pytest.mark.parametrize(
    ("won", "lost", "total"),
    [(0.01, 0.01, 100), (0.02, 0.06, 100), (0.1, 0.1, 100), (0.05, 0.15, 60), (0.005, 0.02, 300)],
)
def test_the_interval_covers_the_truth_as_often_as_it_says(won: float, lost: float, total: int) -> None:
    """2000 draws: the standard error of a coverage of 0.95 is 0.005. Counts are whole numbers, so that with 8 differing
    questions in 100 the coverage hovers around 0.95; with fewer the interval errs to be wide."""
    random = np.random.default_rng(0)
    drawn = random.multinomial(total, [won, lost, 1 - won - lost], size=2000)
    intervals = {(w, n): score_interval(int(w), int(n), total, 0.95) for w, n, _ in drawn}
    covered = sum(intervals[w, n][0] <= won - lost <= intervals[w, n][1] for w, n, _ in drawn) / len(drawn)
    assert covered >= 0.92


def test_non_inferiority_is_wrongly_found_no_oftener_than_the_confidence_allows() -> None:
    """A model that is exactly as much worse as the bound allows passes in 2.5 of 100 releases."""
    random = np.random.default_rng(1)
    drawn = random.multinomial(200, [0.02, 0.07, 0.91], size=4000)
    passed = sum(score_interval(int(w), int(n), 200, 0.95)[0] >= -0.05 for w, n, _ in drawn) / len(drawn)
    assert passed <= 0.035
