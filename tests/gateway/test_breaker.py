"""closed, open, half-open: by values and times only."""

from __future__ import annotations

import pytest

from nexus_gateway.breaker import Breakers, BreakerSettings, is_failure


@pytest.fixture
def breakers() -> Breakers:
    return Breakers(BreakerSettings(max_failures=3, reset_seconds=30))


def test_asking_whether_it_would_be_admitted_takes_no_probe(breakers: Breakers) -> None:
    fail(breakers, 3)
    assert not breakers.would_admit("a", 29)
    assert breakers.would_admit("a", 30)
    assert breakers.would_admit("a", 30)
    assert breakers.admits("a", 30)
    assert not breakers.would_admit("a", 30), "the probe is under way"


def fail(breakers: Breakers, times: int, now: float = 0.0) -> list[bool]:
    return [breakers.failed("a", now) for _ in range(times)]


def test_opens_after_that_many_failures_in_a_row(breakers: Breakers) -> None:
    assert fail(breakers, 3) == [False, False, True]
    assert not breakers.admits("a", 29.9)


def test_a_success_between_starts_the_count_anew(breakers: Breakers) -> None:
    fail(breakers, 2)
    breakers.succeeded("a")
    assert fail(breakers, 2) == [False, False]
    assert breakers.admits("a", 0)


def test_half_open_lets_one_probe_through(breakers: Breakers) -> None:
    fail(breakers, 3)
    assert [breakers.admits("a", 30), breakers.admits("a", 30)] == [True, False]


def test_a_good_probe_closes_and_a_bad_one_opens_again(breakers: Breakers) -> None:
    fail(breakers, 3)
    assert breakers.admits("a", 30)
    assert breakers.failed("a", 30)
    assert not breakers.admits("a", 59)
    assert breakers.admits("a", 60)
    breakers.succeeded("a")
    assert breakers.admits("a", 60)


def test_a_probe_whose_client_left_says_nothing(breakers: Breakers) -> None:
    fail(breakers, 3)
    assert breakers.admits("a", 30)
    breakers.undecided("a")
    assert breakers.admits("a", 30)


def test_retry_after_is_rounded_up_and_at_least_one(breakers: Breakers) -> None:
    fail(breakers, 3, now=10)
    assert breakers.retry_after("a", 10.5) == 30
    assert breakers.retry_after("a", 45) == 1


def test_one_endpoint_s_failures_are_not_another_s(breakers: Breakers) -> None:
    fail(breakers, 3)
    assert breakers.admits("b", 0)


def test_state_survives_a_reload_that_keeps_the_endpoint(breakers: Breakers) -> None:
    fail(breakers, 3)
    breakers.keep({"a"})
    assert not breakers.admits("a", 1)
    breakers.keep({"b"})
    assert breakers.admits("a", 1)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_engine_s_own_errors_count(status: int) -> None:
    assert is_failure(status)


@pytest.mark.parametrize("status", [200, 400, 429, 499, 501])
def test_what_the_client_did_does_not_count(status: int) -> None:
    assert not is_failure(status)
