"""The sequential test of a canary: right by hand, valid by chance, and able to cry."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from itertools import product
from math import comb

import pytest

from nexus_release.canary.sequential import EFFECTS, Table, log_evidence, log_ratios


def probability(table: Table, odds: Fraction) -> Fraction:
    """Of its events being shared like this, by hand: how many of all are the canary's, at these odds."""
    events = table.stable_events + table.canary_events
    ways = {
        own: comb(table.canary, own) * comb(table.stable, events - own) * odds**own
        for own in range(max(0, events - table.stable), min(events, table.canary) + 1)
    }
    return ways[table.canary_events] / sum(ways.values())


@pytest.mark.parametrize("odds", ["1", "1.25", "2"])
@pytest.mark.parametrize(
    "table", [Table(40, 3, 10, 4), Table(7, 7, 5, 0), Table(90, 1, 1, 1), Table(3, 0, 9, 2), Table(5, 2, 5, 5)]
)
def test_a_table_s_ratio_is_the_exact_one(table: Table, odds: str) -> None:
    allowed = Fraction(odds)
    exact = [probability(table, allowed * Fraction(str(effect))) / probability(table, allowed) for effect in EFFECTS]
    (found,) = log_ratios([table], float(odds))
    assert found == pytest.approx([math.log(one) for one in exact], abs=1e-9)


@pytest.mark.parametrize("true", ["0.5", "1", "1.25"])
def test_its_mean_is_at_most_1_whatever_is_allowed(true: str) -> None:
    """Over all tables with these margins, by their exact probabilities: so the product is a supermartingale."""
    stable, canary, events = 30, 9, 6
    mean = 0.0
    for own in range(events + 1):
        table = Table(stable, events - own, canary, own)
        mean += float(probability(table, Fraction(true))) * math.exp(log_evidence([[table]], 1.25))
    assert mean <= 1 + 1e-9
    assert (mean > 1 - 1e-9) is (true == "1.25"), "and 1 where the canary is as bad as is allowed"


def test_requests_that_are_drawn_together_and_are_alike_say_about_what_their_draws_say() -> None:
    """Each draw counted ten times: without being told, evidence is found where there is none."""
    stable, canary, events = 300, 90, 60
    means = {1.0: 0.0, 10.0: 0.0}
    for own in range(events + 1):
        chance = float(probability(Table(stable, events - own, canary, own), Fraction("1.25")))
        tenfold = Table(stable * 10, (events - own) * 10, canary * 10, own * 10)
        for per_draw in means:
            means[per_draw] += chance * math.exp(min(500.0, log_evidence([[tenfold]], 1.25, per_draw)))
    assert means[10.0] < 1.04, "about 1: a table of sessions is not known"
    assert means[1.0] > 1000


def test_single_draws_lose_by_a_number_too_large_and_gain_nothing() -> None:
    for own in range(7):
        table = Table(30, 6 - own, 9, own)
        assert abs(log_evidence([[table]], 1.25, 4)) < abs(log_evidence([[table]], 1.25))


@pytest.mark.parametrize("table", [Table(10, 0, 5, 0), Table(10, 10, 5, 5), Table(0, 0, 8, 3), Table(8, 3, 0, 0)])
def test_a_block_that_can_say_nothing_says_nothing(table: Table) -> None:
    assert log_evidence([[table]], 1.0) == 0.0


def test_blocks_multiply_and_bounds_are_averaged() -> None:
    one, other = Table(50, 2, 10, 3), Table(60, 1, 9, 2)
    sums = log_ratios([one], 1.0) + log_ratios([other], 1.0)
    mean = sum(math.exp(value) for value in sums[0]) / len(EFFECTS)
    assert log_evidence([[one], [other]], 1.0) == pytest.approx(math.log(mean))
    silent = Table(50, 0, 10, 0)
    assert log_evidence([[one, silent]], 1.0) == pytest.approx(
        math.log((math.exp(log_evidence([[one]], 1.0)) + 1) / 2)
    ), "a bound that nobody passes halves what the other one says"


def test_blocks_before_there_was_a_histogram_are_passed_over() -> None:
    table = Table(50, 2, 10, 3)
    assert log_evidence([[], [table], []], 1.0) == log_evidence([[table]], 1.0)
    assert log_evidence([], 1.0) == log_evidence([[]], 1.0) == 0.0


def test_what_is_turned_counts_the_absence() -> None:
    assert Table(10, 3, 5, 1).turned == Table(10, 7, 5, 4)


def blocks(drawn: random.Random, stable: float, canary: float, looks: int = 60) -> list[list[Table]]:
    """Looks of 400 requests, 10 % of them the canary's; the share of events swings by the hour, as traffic does."""
    found = []
    for look in range(looks):
        swing = 1.5 if look % 2 else 0.5
        own = sum(drawn.random() < 0.1 for _ in range(400))
        events = [
            sum(drawn.random() < share * swing for _ in range(n)) for n, share in ((400 - own, stable), (own, canary))
        ]
        found.append([Table(400 - own, events[0], own, events[1])])
    return found


def crossed(table: list[list[Table]], alpha: float) -> int | None:
    """After how many blocks it is said; None where it never is, though it is looked at after each."""
    total = 0.0
    sums = [0.0] * len(EFFECTS)
    for number, block in enumerate(table, 1):
        sums = [one + float(more) for one, more in zip(sums, log_ratios(block, 1.0)[0], strict=True)]
        total = math.log(sum(map(math.exp, sums)) / len(sums))
        if total >= math.log(1 / alpha):
            return number
    return None


def test_equal_releases_are_told_apart_less_often_than_is_stated() -> None:
    alpha, seeds = 0.1, 100
    false = sum(crossed(blocks(random.Random(seed), 0.02, 0.02), alpha) is not None for seed in range(seeds))
    assert false <= alpha * seeds, "looked at after every block"


def test_a_worse_one_is_found_and_sooner_the_worse_it_is() -> None:
    medians = []
    for share in (0.06, 0.12):
        found = sorted(crossed(blocks(random.Random(seed), 0.02, share), 0.01) or 999 for seed in range(20))
        medians.append(found[10])
    assert 60 > medians[0] > medians[1]


def test_more_events_of_the_canary_never_speak_for_it() -> None:
    for stable_events, canary_events in product((0, 3, 20), range(20)):
        less, more = (
            log_evidence([[Table(200, stable_events + canary_events + 1 - own, 20, own)]], 1.0)
            for own in (canary_events, canary_events + 1)
        )
        assert more > less
