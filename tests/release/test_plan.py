"""A model's plan: its file, and the moves that a release, a canary and a promotion make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_release.errors import BadInput
from nexus_release.names import LONGEST_MODEL, MODEL_NAME
from nexus_release.plan import (
    Canary,
    Plan,
    Pointer,
    admitted,
    plan_path,
    plan_text,
    promoted,
    read_plan,
    read_plans,
    shifted,
)

from ..support.releases import release_name

models = st.from_regex(MODEL_NAME, fullmatch=True).filter(lambda name: len(name) <= LONGEST_MODEL)
weights = st.integers(0, 100)


def pointer(number: int) -> Pointer:
    return Pointer(release=release_name(f"release {number}"), record="sha256:" + release_name(f"record {number}"))


Move = Callable[[Plan], Plan]


def shift(weight: int) -> Move:
    return lambda plan: shifted(plan, plan.canary.release, weight) if plan.canary else plan


def promote(retain: int) -> Move:
    return lambda plan: promoted(plan, plan.canary.release, retain) if plan.canary else plan


def admit(number: int) -> Move:
    return lambda plan: admitted(plan, plan.model, pointer(number))


moves = st.lists(
    st.one_of(
        st.integers(0, 6).map(admit),
        weights.map(shift),
        st.integers(0, 3).map(promote),
    ),
    max_size=12,
)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    plan = admitted(None, draw(models), pointer(0))
    for move in draw(moves):
        plan = move(plan)
    return plan


@given(model=models)
def test_a_first_release_is_stable_and_alone(model: str) -> None:
    assert admitted(None, model, pointer(1)) == Plan(model=model, stable=pointer(1))


@given(plan=plans(), number=st.integers(0, 8))
def test_a_release_enters_without_traffic_and_moves_nobody_s(plan: Plan, number: int) -> None:
    after = admitted(plan, plan.model, pointer(number))
    assert after.stable == plan.stable
    assert after.retained == plan.retained
    if pointer(number).release in plan.releases:
        assert after == plan
    else:
        assert after.canary == Canary(**pointer(number).model_dump(), weight=0)


@given(plan=plans(), number=st.integers(0, 8))
def test_admitting_twice_is_admitting_once(plan: Plan, number: int) -> None:
    once = admitted(plan, plan.model, pointer(number))
    assert admitted(once, plan.model, pointer(number)) == once


@given(plan=plans(), weight=weights, back=weights)
def test_a_shift_changes_the_weight_alone_and_can_be_undone(plan: Plan, weight: int, back: int) -> None:
    before = shift(back)(plan)
    after = shift(weight)(before)
    assert after.releases == before.releases
    assert after.canary is None or after.canary.weight == weight
    assert shift(back)(after) == before


@given(plan=plans(), retain=st.integers(0, 4))
def test_a_promotion_keeps_the_newest_former_stables(plan: Plan, retain: int) -> None:
    if plan.canary is None:
        return
    after = promoted(plan, plan.canary.release, retain)
    assert (after.stable.release, after.stable.record) == (plan.canary.release, plan.canary.record)
    assert after.canary is None
    assert after.retained == (plan.stable, *plan.retained)[:retain]


@given(plan=plans())
def test_no_release_is_named_twice(plan: Plan) -> None:
    assert len(set(plan.releases)) == len(plan.releases)
    assert tuple(found.release for found in plan.pointers) == plan.releases


@given(plan=plans())
def test_a_plan_survives_its_file(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("plan")
    path = root / plan_path("dev", plan.model)
    path.parent.mkdir(parents=True)
    path.write_text(plan_text(plan), encoding="utf-8")
    found = read_plan(root, "dev", plan.model)
    assert found == plan
    assert plan_text(found) == path.read_text(encoding="utf-8")
    assert read_plans(root, "dev") == {plan.model: plan}


@pytest.mark.parametrize(
    "move",
    [lambda plan, release: shifted(plan, release, 5), lambda plan, release: promoted(plan, release, 1)],
    ids=["shift", "promote"],
)
def test_only_the_canary_can_be_shifted_or_promoted(move: Callable[[Plan, str], Plan]) -> None:
    alone = admitted(None, "chat", pointer(1))
    with pytest.raises(BadInput, match="no canary; release one first"):
        move(alone, pointer(1).release)
    with pytest.raises(BadInput, match=f"the canary is {pointer(2).release}"):
        move(admitted(alone, "chat", pointer(2)), pointer(1).release)


@pytest.mark.parametrize("weight", [-1, 101])
def test_a_weight_is_a_percentage(weight: int) -> None:
    plan = admitted(admitted(None, "chat", pointer(1)), "chat", pointer(2))
    with pytest.raises(BadInput, match=f"weight: {weight} is refused"):
        shifted(plan, pointer(2).release, weight)


def test_a_model_without_a_plan_has_none(tmp_path: Path) -> None:
    assert read_plan(tmp_path, "dev", "chat") is None
    assert read_plans(tmp_path, "dev") == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("chat.yaml", "chat.yml.yaml"), "its plan is environments/dev/models/chat.yaml"),
        (("weight: 7", "weight: 107"), "canary.weight: 107"),
        (("weight: 7", "weigth: 7"), "canary.weight: .* is missing"),
        (("retained: []", "retianed: []"), "retianed: .* unknown key; known here: canary, model, retained, stable"),
        (
            ("retained: []", f"retained: [{{release: {pointer(1).release}, record: {pointer(1).record}}}]"),
            "two releases",
        ),
        (("sha256:", "sha1:"), "record: 'sha1:"),
    ],
    ids=["name", "range", "misspelt", "unknown", "twice", "digest"],
)
def test_a_bad_plan_is_refused_by_name(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    plan = shifted(admitted(admitted(None, "chat", pointer(1)), "chat", pointer(2)), pointer(2).release, 7)
    path = tmp_path / plan_path("dev", "chat").replace(*change)
    path.parent.mkdir(parents=True)
    path.write_text(plan_text(plan).replace(*change))
    with pytest.raises(BadInput, match=words):
        read_plans(tmp_path, "dev")
