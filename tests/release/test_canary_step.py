"""A canary's way through main: on, back or not yet, each as one commit with the evidence that asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nexus_release.canary.evidence import decided_again, parse_evidence
from nexus_release.canary.step import NothingToDo, Stepped
from nexus_release.errors import BadInput, Unreachable
from nexus_release.plan import admitted, promoted, shifted
from nexus_release.ports import Landed

from ..support.canary_traffic import SAME, Behaviour
from ..support.canary_walk import ENTERED, MODEL, ONE, PLAN, SLUG, TWO, Walk, plant_canary, starting
from ..support.remotes import Remote

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    return plant_canary(tmp_path_factory.mktemp("planted"))


@pytest.fixture
def walk(planted: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Walk]:
    return starting(planted, tmp_path, monkeypatch)


def landed(stepped: Stepped) -> Landed:
    assert stepped.landed is not None
    return stepped.landed


def test_a_good_canary_walks_all_steps_and_becomes_stable(walk: Callable[..., Walk]) -> None:
    way = walk()
    begun = way.step()
    assert (begun.evidence.decision.reason, way.plan.canary and way.plan.canary.weight) == ("it begins", 1)
    weights, previous = [], begun.path
    while way.plan.canary:
        stepped = way.step(timedelta(minutes=20))
        assert stepped.evidence.previous == "sha256:" + Path(previous).stem
        weights.append((stepped.evidence.weight, stepped.evidence.decision.action))
        previous = stepped.path
    assert weights == [(1, "advance"), (5, "advance"), (25, "advance"), (50, "promote")]
    assert way.plan == promoted(shifted(ENTERED, TWO.release, 50), TWO.release, 1)
    assert len({arms.mark for arms in way.figures.asked}) == 4, "each weight is counted from its own commit on"


def test_each_step_is_one_commit_of_plan_route_and_evidence(walk: Callable[..., Walk]) -> None:
    way = walk(weight=1)
    stepped = way.step(timedelta(minutes=20))
    head = way.remote.head
    assert landed(stepped).commits == (head,)
    assert way.remote.changed(head) == {PLAN, f"gitops/local/gateway/routes.d/{SLUG}.yaml", stepped.path}
    assert way.remote.trailers(head)["Nexus-Change"] == "canary-step"
    assert way.remote.trailers(head)["Nexus-Evidence"] == stepped.path
    assert parse_evidence(way.remote.file(stepped.path), stepped.path) == stepped.evidence
    assert stepped.evidence.commit == way.remote.git("rev-parse", "main~1")
    assert way.remote.refs() == {"main": head}, "the branch of the proposal is gone"


@pytest.mark.parametrize(
    ("canary", "guilty"),
    [
        (Behaviour(slower=1.3), "first_byte"),
        (Behaviour(errors=0.02), "errors"),
        (Behaviour(refusals=0.1), "refusals"),
        (Behaviour(gap=1.3), "inter_token"),
        (Behaviour(longer=0.6), "length"),
        (Behaviour(longer=1.8), "cost"),
    ],
)
def test_a_bad_canary_goes_back_and_the_evidence_names_why(
    walk: Callable[..., Walk], canary: Behaviour, guilty: str
) -> None:
    way = walk(canary, weight=25)
    stepped = way.step(timedelta(minutes=1))
    evidence = stepped.evidence
    assert evidence.decision.action == "revert"
    assert guilty in {one.metric for one in evidence.tests if one.guilty}
    assert guilty in way.remote.subjects()[0]
    assert way.plan.canary is not None
    assert way.plan.canary.weight == 0
    with pytest.raises(NothingToDo, match="a person may give it a weight"):
        way.step()


def test_a_canary_holds_until_time_and_requests_are_enough_and_says_so(walk: Callable[..., Walk]) -> None:
    way = walk(weight=1)
    before = way.remote.refs()
    early = way.step(timedelta(seconds=40))
    assert early.evidence.decision.action == "hold"
    assert "of 60 seconds" in early.evidence.decision.reason
    few = way.step(timedelta(seconds=100))
    assert "of 500 requests" in few.evidence.decision.reason
    assert (early.landed, few.landed, way.remote.refs()) == (None, None, before)


def test_a_dry_run_decides_and_changes_nothing(walk: Callable[..., Walk]) -> None:
    way = walk(Behaviour(slower=2.0), weight=25)
    before = way.remote.refs()
    stepped = way.step(dry=True)
    assert (stepped.evidence.decision.action, stepped.landed) == ("revert", None)
    assert way.remote.refs() == before


def test_without_figures_the_weight_stays_until_the_deadline_and_then_goes_back(walk: Callable[..., Walk]) -> None:
    way = walk(weight=5)
    way.figures.gone = True
    before = way.remote.refs()
    with pytest.raises(Unreachable, match="the weight stays at 5 %: nobody answers"):
        way.step(71 * HOUR)
    assert way.remote.refs() == before
    stepped = way.step(73 * HOUR)
    assert (stepped.evidence.source, stepped.evidence.notes) == ("none", ("nobody answers",))
    assert stepped.evidence.decision.reason == "not at its end in 72 hours"
    assert landed(stepped).landed


def test_what_a_person_has_set_to_0_does_not_begin_by_itself(walk: Callable[..., Walk]) -> None:
    way = walk(weight=5)
    way.set(0)
    with pytest.raises(NothingToDo, match="has gone back to 0"):
        way.step()


def test_a_person_s_new_weight_after_a_return_begins_the_test_anew(walk: Callable[..., Walk]) -> None:
    way = walk(Behaviour(slower=1.5), weight=25)
    assert way.step().evidence.decision.action == "revert"
    way.set(5)
    way.figures.canary = SAME
    stepped = way.step(timedelta(minutes=20))
    assert (stepped.evidence.weight, stepped.evidence.decision.action) == (5, "advance")
    assert all(float(one.evidence) < 1 for one in stepped.evidence.tests)


def test_what_was_seen_at_an_earlier_weight_counts_on(walk: Callable[..., Walk]) -> None:
    """A canary a little too slow: no step alone would prove it."""
    way = walk(Behaviour(slower=1.1), weight=1)
    evidence = [way.step(timedelta(minutes=minutes)).evidence for minutes in (16, 2)]
    own = way.step(timedelta(minutes=1), dry=True).evidence
    assert [one.decision.action for one in evidence] == ["advance", "advance"]
    earlier = [block for one in evidence for block in one.blocks]
    (with_it, _), (without, _) = decided_again(own, earlier), decided_again(own, [])
    assert own.tests == with_it
    assert own.tests != without


def test_where_two_steps_race_one_lands_and_the_other_changes_nothing(
    walk: Callable[..., Walk], monkeypatch: pytest.MonkeyPatch
) -> None:
    way = walk(weight=1)
    first = Walk(way.remote, SAME, monkeypatch, way.clock)
    propose, done = way.repository.propose, list[Stepped]()

    def late(branch: str, commits: Any, **more: Any) -> Landed:
        done.append(first.step(timedelta(minutes=21)))
        return propose(branch, commits, **more)

    monkeypatch.setattr(way.repository, "propose", late)
    second = way.step(timedelta(minutes=20))
    assert landed(done[0]).commits
    assert landed(second).commits == ()
    assert way.plan.canary is not None
    assert way.plan.canary.weight == 5
    assert len(way.remote.files("gitops/evidence")) == 1


def test_a_person_s_weight_that_lands_while_main_is_read_is_not_held_against_the_history_before_it(
    walk: Callable[..., Walk], monkeypatch: pytest.MonkeyPatch
) -> None:
    way = walk(weight=1)
    checkout, seen = way.repository.checkout, [way.remote.head]

    def late(into: Path, revision: str = "main") -> str:
        if len(seen) == 1:
            way.set(40)
            seen.append(way.remote.head)
        return checkout(into, revision)

    monkeypatch.setattr(way.repository, "checkout", late)
    stepped = way.step(timedelta(minutes=20))
    assert (stepped.evidence.commit, stepped.evidence.weight) == (seen[0], 1)
    assert (landed(stepped).commits, way.remote.head) == ((), seen[1])


def test_evidence_that_is_gone_is_named_and_not_counted_as_never_seen(walk: Callable[..., Walk]) -> None:
    way = walk(weight=1)
    first = way.step(timedelta(minutes=20))
    way.step(timedelta(minutes=20))
    way.remote.commit({first.path: None})
    with pytest.raises(BadInput, match="it is gone, and sha256:"):
        way.step(timedelta(minutes=20))


def test_a_model_without_a_canary_has_nothing_to_do(walk: Callable[..., Walk]) -> None:
    way = walk()
    way.remote.plan(admitted(None, MODEL, ONE))
    with pytest.raises(NothingToDo, match="has no canary"):
        way.step()


def test_evidence_holds_no_number_that_two_machines_could_write_differently(walk: Callable[..., Walk]) -> None:
    stepped = walk(weight=1).step(timedelta(minutes=20))

    def floats(value: Any) -> list[float]:
        if isinstance(value, dict | list):
            return [found for one in (value.values() if isinstance(value, dict) else value) for found in floats(one)]
        return [value] if isinstance(value, float) else []

    assert floats(json.loads(stepped.evidence.model_dump_json())) == []
