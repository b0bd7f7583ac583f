"""A small part of what docs/benchmarks-canary.md tells: by whole canaries, decided by the real code, on fixed seeds."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from nexus_release.canary.decision import judged
from nexus_release.config import load_settings

from ..simulations.canary import (
    EQUAL,
    TEN_ALIKE,
    WORSE,
    Case,
    Looks,
    endings,
    share,
    strict,
    strict_and_told_of_sessions,
)
from ..support.canary_traffic import Behaviour, draw, windows
from ..support.repository import ROOT

SEEDS = 12


def named(name: str) -> Case:
    return next(case for case in (*EQUAL, *WORSE) if case.name.startswith(name))


def test_the_simulation_judges_as_the_command_does() -> None:
    policy, rng = load_settings(ROOT, "prod").canary, np.random.default_rng(7)
    looks = Looks(policy)
    for number, window in enumerate(windows(datetime(2026, 11, 1, tzinfo=UTC), 5, 300), 1):
        found = looks.add(draw(rng, window, 5, Behaviour(slower=1.1, errors=0.01, longer=0.9)))
        assert len(looks.blocks) == number
    assert found == judged(policy, looks.blocks)


def test_equal_releases_walk_to_their_end() -> None:
    found = endings(named("as `base.yaml`"), SEEDS)
    assert [one.action for one in found] == ["good"] * SEEDS
    assert {one.weight for one in found} == {50}


def test_sessions_whose_requests_are_alike_cry_wolf_until_the_policy_is_told_of_them() -> None:
    alike, told = (
        case for case in EQUAL if case.policy in (strict, strict_and_told_of_sessions) and case.traffic == TEN_ALIKE
    )
    assert sum(one.action == "revert" for one in endings(alike, SEEDS)) > SEEDS / 4
    assert [one.action for one in endings(told, SEEDS)] == ["good"] * SEEDS


@pytest.mark.parametrize(
    ("name", "guilty", "most"), [("first byte +30 %", "first_byte", 1000), ("2 % errors", "errors", 3000)]
)
def test_what_is_bad_goes_back_within_few_requests_of_the_canary(name: str, guilty: str, most: int) -> None:
    found = endings(named(name), SEEDS)
    assert {(one.action, guilty in one.guilty) for one in found} == {("revert", True)}
    assert max(one.of_canary for one in found) < most
    assert max(one.weight for one in found) <= 25


def test_a_share_has_its_interval() -> None:
    assert share(0, 100) == (0.0, 0.0, pytest.approx(0.0370, abs=1e-4))
    assert share(50, 100) == (0.5, pytest.approx(0.4038, abs=1e-4), pytest.approx(0.5962, abs=1e-4))
