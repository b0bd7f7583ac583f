"""As many groups for each endpoint, and the same ones by every gateway that knows them: `evenness.py`."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from nexus_gateway.prefix_routing.choice import Place
from nexus_gateway.prefix_routing.evenness import EVENED, KNOWN, RECKONED_SECONDS, Evenness
from nexus_gateway.prefix_routing.load import Load
from nexus_gateway.prefix_routing.rendezvous import Seeds, seed_of

GROUPS = [seed_of(f"group {number}") for number in range(150)]
EIGHT = [Place(f"e{number}", seed_of(f"http://e{number}"), Load(0, 0)) for number in range(8)]
ROUNDS = int(KNOWN) + 1


class Asked:
    """One gateway's, each question in a moment in which it is reckoned anew."""

    def __init__(self, over_seconds: float = 1e6, most: int = 4096) -> None:
        self.evenness, self.now = Evenness(most, over_seconds), 0.0

    def where(self, groups: Sequence[int], places: Sequence[Place] = EIGHT) -> dict[int, str]:
        """The endpoint of each group."""
        seeds = Seeds([one.seed for one in places])
        found = {}
        for group in groups:
            self.now += RECKONED_SECONDS
            scores = self.evenness.scores(group, seeds.scores(group), places, self.now)
            found[group] = places[max(range(len(places)), key=scores.__getitem__)].id
        return found


def known(seed: int, groups: Sequence[int] = GROUPS) -> Asked:
    """That has been asked for each of them several times, in an order of its own."""
    gateway, order = Asked(), random.Random(seed)
    for _ in range(ROUNDS):
        gateway.where(order.sample(groups, len(groups)))
    return gateway


def hashed(groups: Sequence[int]) -> dict[int, str]:
    return Asked().where(groups)


def test_an_endpoint_has_little_more_than_is_even_of_what_hashing_deals_out_unevenly() -> None:
    even = len(GROUPS) / len(EIGHT)
    assert max(Counter(hashed(GROUPS).values()).values()) > 1.3 * even
    assert max(Counter(known(1).where(GROUPS).values()).values()) <= 1.2 * even


def test_most_groups_stay_where_hashing_puts_them() -> None:
    by_hash, dealt = hashed(GROUPS), known(1).where(GROUPS)
    moved = sum(by_hash[group] != dealt[group] for group in GROUPS)
    assert 0 < moved < len(GROUPS) / 5


def test_gateways_that_were_asked_in_another_order_agree() -> None:
    one, other = (known(seed).where(GROUPS) for seed in (1, 2))
    assert one == other


def test_nothing_is_evened_before_the_groups_are_known() -> None:
    seeds, gateway = Seeds([one.seed for one in EIGHT]), Asked()
    gateway.where(GROUPS)
    assert gateway.evenness.scores(GROUPS[0], seeds.scores(GROUPS[0]), EIGHT, 1e5) == seeds.scores(GROUPS[0])


def test_a_few_groups_stay_as_they_fall() -> None:
    few = GROUPS[: EVENED * len(EIGHT) - 1]
    assert known(1, few).where(few) == hashed(few)
    assert known(1, GROUPS[: EVENED * len(EIGHT)]).where(few) != hashed(few)


def test_an_endpoint_that_goes_moves_few_others() -> None:
    gateway = known(1)
    before = gateway.where(GROUPS)
    gateway.where(GROUPS, EIGHT[:-1])
    after = gateway.where(GROUPS, EIGHT[:-1])
    kept = [group for group in GROUPS if before[group] != "e7"]
    assert sum(before[group] != after[group] for group in kept) < len(kept) / 5


def test_groups_that_nobody_asks_for_are_forgotten() -> None:
    gateway = known(1)
    gateway.now += 5e5
    gateway.where(GROUPS[:1])
    assert len(gateway.evenness) == len(GROUPS)
    gateway.now += 6e5
    gateway.where(GROUPS[:1])
    assert len(gateway.evenness) == 1


def test_it_keeps_no_more_groups_than_the_most() -> None:
    gateway = Asked(most=10)
    gateway.where(GROUPS)
    assert len(gateway.evenness) == 10
