"""Who waits for a full engine: by priority, and in fair shares between tenants."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_gateway.exchange import Waiter
from nexus_gateway.fair_queue import LARGEST, QUANTUM, FairQueue
from nexus_gateway.gate import LONGEST_QUEUE, Full, Gate

COSTS = st.integers(1, LARGEST)


def waiting(queue: FairQueue, tenant: str, tokens: int) -> Waiter[None]:
    waiter: Waiter[None] = Waiter()
    queue.add(tenant, tokens, waiter)
    return waiter


@given(st.lists(st.tuples(st.lists(COSTS, min_size=1, max_size=30), st.integers(1, 5)), min_size=2, max_size=5))
def test_while_all_wait_none_is_ahead_by_more_than_a_quantum_and_two_requests(
    tenants: list[tuple[list[int], int]],
) -> None:
    """Each tenant sends its list of requests several times over, so that some send far more than others."""
    queue, cost, owner = FairQueue(), dict[Waiter[None], int](), dict[Waiter[None], str]()
    left: Counter[str] = Counter()
    for number, (costs, times) in enumerate(tenants):
        for tokens in costs * times:
            waiter = waiting(queue, str(number), tokens)
            cost[waiter], owner[waiter] = tokens, str(number)
            left[str(number)] += 1
    largest, served = max(cost.values()), Counter(dict.fromkeys(left, 0))
    while all(left.values()):
        taken = queue.take()
        assert taken is not None
        served[owner[taken]] += cost[taken]
        left[owner[taken]] -= 1
        assert max(served.values()) - min(served.values()) <= QUANTUM + 2 * largest


@given(st.lists(st.tuples(st.sampled_from("abc"), COSTS), max_size=60), st.sets(st.integers(0, 59)))
def test_everybody_who_still_waits_is_taken_once_and_in_the_tenant_s_own_order(
    asked: list[tuple[str, int]], gone: set[int]
) -> None:
    queue = FairQueue()
    waiters = [waiting(queue, tenant, tokens) for tenant, tokens in asked]
    for number in gone & set(range(len(waiters))):
        waiters[number].fail(Full())
    staying = [number for number in range(len(waiters)) if number not in gone]
    assert len(queue) == len(staying)
    taken = []
    while (waiter := queue.take()) is not None:
        taken.append(waiters.index(waiter))
        waiter.give(None)
    assert sorted(taken) == staying
    for tenant in "abc":
        own = [number for number in taken if asked[number][0] == tenant]
        assert own == sorted(own)


def test_one_that_sends_a_thousand_does_not_hold_up_one_that_sends_one() -> None:
    gate = Gate(1)
    inside = gate.enter(50, "greedy", 100)
    greedy = [gate.enter(50, "greedy", 100) for _ in range(900)]
    modest = gate.enter(50, "modest", 100)
    assert inside.settled
    for _ in range(QUANTUM // 100 + 1):
        gate.leave()
    assert modest.settled
    assert not greedy[-1].settled


def test_priority_goes_before_fairness() -> None:
    gate = Gate(1)
    gate.enter(50, "a", 1)
    low, high = gate.enter(10, "b", 1), gate.enter(90, "a", LARGEST)
    gate.leave()
    assert (high.settled, low.settled) == (True, False)
    gate.leave()
    assert low.settled


def test_a_limit_that_changes_holds_for_who_goes_in_next() -> None:
    gate = Gate(3)
    for _ in range(3):
        gate.enter(50, "a", 1)
    waiters = [gate.enter(50, "a", 1) for _ in range(3)]
    gate.limit = 1
    gate.leave()
    gate.leave()
    assert [waiter.settled for waiter in waiters] == [False] * 3
    gate.limit = 2
    gate.leave()
    assert [waiter.settled for waiter in waiters] == [True, True, False]
    assert gate.inside == 2


def test_a_place_that_is_given_up_is_nobody_s() -> None:
    gate = Gate(1)
    gate.enter(50, "a", 1)
    gone, stays = gate.enter(50, "a", 1), gate.enter(50, "a", 1)
    gone.fail(Full())
    assert gate.waiting == 1
    gate.leave()
    assert stays.settled
    gate.leave()
    assert (gate.inside, gate.waiting, gate.free) == (0, 0, True)


def test_the_queue_is_bounded() -> None:
    gate = Gate(1)
    gate.enter(50, "a", 1)
    waiters = [gate.enter(50, f"tenant-{number}", 1) for number in range(LONGEST_QUEUE)]
    with pytest.raises(Full):
        raise gate.enter(50, "late", 1).error or AssertionError("it has room")
    waiters[0].fail(Full())
    assert not gate.enter(50, "late", 1).settled
