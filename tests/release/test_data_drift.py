"""Drift of a dataset against the dataset of the stable release: what is measured, refused, and resolved."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_release.distributions import between_categories, between_numbers
from nexus_release.drift import Data, FeatureDrift, measure
from nexus_release.errors import BadInput, DigestMismatch, Missing
from nexus_release.lines import read_lines
from nexus_release.plan import Plan
from nexus_release.record import record_path
from nexus_release.spec import Ask, ReleaseSpec, parameters
from nexus_release.steps.validate import ValidateOut
from nexus_release.wiring import Connections, Tools

from ..support.datasets import chat, rows, run
from ..support.releases import make_record, plant_environments
from ..support.remotes import Remote
from ..support.repository import ROOT

SAMPLES = 200
"""Of a simulation; its seed is fixed, so that it ends in one way."""


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(Connections(work=(tmp_path / "work").as_uri(), registry="http://127.0.0.1:9", remote="none"))


def of(out: ValidateOut, feature: str) -> FeatureDrift:
    return next(one for one in out.drift if one.feature == feature)


def test_data_as_before_has_not_drifted(tools: Tools) -> None:
    earlier = run(tools, rows(400))[0].dataset
    out, _ = run(tools, rows(500), reference=earlier)
    assert out.accepted
    assert out.reference == earlier
    assert len(out.drift) == 9
    assert not [one for one in out.drift if one.drifted]


CHANGES: dict[str, Callable[[int], bytes]] = {
    "answer characters": lambda n: chat(n, f"What is {n}?", f"The number {n}, which is larger than it was." * 4),
    "prompt characters": lambda n: chat(n, f"What is {n}? " * 9, f"The number {n}."),
    "turns": lambda n: chat(n, f"What is {n}?", f"The number {n}.", f"And {n} + 1?", f"Not {n}, yet."),
    "role sequence": lambda n: chat(n, f"What is {n}?", f"The number {n}.", f"And {n} + 1?", f"Not {n}, yet."),
    "share of letters": lambda n: chat(n, f"{n} + {n}?", f"= {2 * n} (0x{2 * n:08x})"),
    "characters a word": lambda n: chat(n, f"What_is_{n}?", f"The_number_{n}."),
    "fate of lines": lambda n: chat(n // 2),
}


@pytest.mark.parametrize("feature", CHANGES)
def test_each_feature_sees_what_it_is_there_for_and_the_refusal_has_its_figures(tools: Tools, feature: str) -> None:
    earlier = run(tools, rows(300))[0].dataset
    later = b"".join(CHANGES[feature](n) for n in range(300))
    out, _ = run(tools, later, reference=earlier)
    found = of(out, feature)
    assert found.drifted
    assert not out.accepted
    first = next(one for one in out.drift if one.drifted)
    figures = f"{first.measure} {first.value}, 0.2000 is allowed and {first.chance} may be chance"
    assert out.reason == f"{first.feature}: drifted from {earlier}: {figures}"


def test_another_script_is_seen() -> None:
    greek = [*read_lines(b"".join(chat(n, f"τι είναι το {n};", f"Ο αριθμός {n}.") for n in range(300))).rows.values()]
    fates = {"kept": 300, "repeated": 0, "refused": 0}
    found = measure(
        Data(greek, fates), Data([*read_lines(rows(300)).rows.values()], fates), {"psi": 0.2, "ks": 0.2}, 0.001
    )
    assert next(one for one in found if one.feature == "script").drifted


def test_a_release_that_drift_asks_for_is_told_of_drift_and_not_refused(tools: Tools) -> None:
    earlier = run(tools, rows(300))[0].dataset
    longer = b"".join(CHANGES["answer characters"](n) for n in range(300))
    out, _ = run(tools, longer, reference=earlier, on_drift="report")
    assert out.accepted
    assert "answer characters: drifted from" in out.reason
    bounds = {"max_gap": 1.0, "max_drift": 100.0}
    assert run(tools, longer, reference=earlier, **bounds)[0].accepted


def test_a_dataset_is_the_same_whatever_it_is_held_against(tools: Tools) -> None:
    """Else each release would have another id than the one before, of the same data."""
    plain, first = run(tools, rows(100))
    earlier = run(tools, rows(90))[0].dataset
    held, second = run(tools, rows(100), reference=earlier)
    assert held.dataset == plain.dataset
    assert first == second
    assert (plain.reference, plain.drift) == (None, ())


def test_the_index_is_the_formulas() -> None:
    """Half of 200 move from one category to another: with 0.5 added to each count, worked out by hand."""
    found = between_categories({"a": 100, "b": 100}, {"a": 200}, 0.05)
    assert round(found.value, 4) == 2.9821
    assert round(found.chance, 2) == round(3.841 * (1 / 200 + 1 / 200), 2)  # chi-square of one degree at 0.95


def test_the_statistic_is_the_formulas() -> None:
    """The largest gap is after 3: three quarters against one quarter."""
    found = between_numbers([1, 2, 3, 9], [3, 7, 8, 9], 0.05)
    assert found.value == 0.5
    assert round(found.chance, 3) == round(1.358 * (1 / 4 + 1 / 4) ** 0.5, 3)  # the table's constant for 0.05


@given(st.lists(st.integers(0, 9), min_size=1), st.lists(st.integers(0, 9), min_size=1))
def test_distances_are_symmetric_bounded_and_nothing_between_equals(left: list[int], right: list[int]) -> None:
    for measured in (
        lambda a, b: between_numbers(a, b, 0.01),
        lambda a, b: between_categories(Counter(map(str, a)), Counter(map(str, b)), 0.01),
    ):
        there, back = measured(left, right), measured(right, left)
        assert there.value == pytest.approx(back.value)
        assert there.value >= 0
        assert measured(left, left).value == 0
    assert between_numbers(left, right, 0.01).value <= 1


def test_chance_is_exceeded_as_seldom_as_it_says() -> None:
    """Of the same distribution twice: heavy ties, rare categories, sizes of a quiet night and of a day."""
    chosen, seen = random.Random(7), {"ks": 0, "psi": 0}
    weights = [2.0**-n for n in range(12)]
    for _ in range(SAMPLES):
        n, m = chosen.choice([60, 300, 2000]), chosen.choice([300, 2000])
        numbers = between_numbers(*([round(chosen.gauss(100, 30)) for _ in range(size)] for size in (n, m)), 0.05)
        drawn = [Counter(chosen.choices("abcdefghijkl", weights, k=size)) for size in (n, m)]
        categories = between_categories(*drawn, 0.05)
        for found in (numbers, categories):
            seen[found.measure] += found.value > found.chance
    assert seen["ks"] <= 0.08 * SAMPLES
    assert 0.01 * SAMPLES <= seen["psi"] <= 0.09 * SAMPLES


def test_a_reference_that_is_no_dataset_is_refused(tools: Tools, tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"gate\.reference: sha256:0+ is not in the store"):
        run(tools, rows(9), reference="sha256:" + "0" * 64)
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"weights")
    with pytest.raises(BadInput, match=r"gate\.reference.*no dataset"):
        run(tools, rows(9), reference=tools.store.put(folder).digest)
    (folder / "report.json").write_text("{}")
    for name in ("train.jsonl", "holdout.jsonl"):
        (folder / name).write_text('{"no": "chat"}\n')
    with pytest.raises(BadInput, match=r"gate\.reference.*no chats"):
        run(tools, rows(9), reference=tools.store.put(folder).digest)


def asked(remote: Remote, reason: str | None = None) -> Ask:
    connections = Connections(work="file:///nowhere", registry="", remote=str(remote.path))
    return Ask(ROOT, "staging", lambda: Tools(connections).repository, reason=reason)


def test_the_reference_is_the_dataset_of_the_stable_release_on_main(tmp_path: Path) -> None:
    remote, spec = Remote(tmp_path, plant_environments), ReleaseSpec(model="chat", dataset="data.jsonl")
    assert parameters(spec, asked(remote)).data_gate.reference is None  # its first release
    first, second = make_record("chat", 1), make_record("chat", 2)
    pointers = [remote.record(first), remote.record(second)]
    remote.plan(Plan(model="chat", stable=pointers[0]), environment="staging")
    held = parameters(spec, asked(remote))
    assert (held.data_gate.reference, held.data_gate.on_drift) == (first.content.dataset.digest, "refuse")
    remote.plan(Plan(model="chat", stable=pointers[1]), environment="staging")
    assert parameters(spec, asked(remote)).data_gate.reference == second.content.dataset.digest


def test_a_release_that_a_report_asks_for_says_so_and_is_not_refused_for_drift(tmp_path: Path) -> None:
    remote, reason = Remote(tmp_path, plant_environments), "sha256:" + "d" * 64
    given = parameters(ReleaseSpec(model="chat", dataset="data.jsonl"), asked(remote, reason))
    assert (given.reason, given.data_gate.on_drift) == (reason, "report")


def test_a_record_that_has_been_changed_is_no_reference(tmp_path: Path) -> None:
    remote, record = Remote(tmp_path, plant_environments), make_record("chat", 1)
    pointer = remote.record(record)
    remote.plan(Plan(model="chat", stable=pointer), environment="staging")
    path = record_path("chat", pointer.release)
    remote.commit({path: remote.file(path).decode().replace("a test", "another")})
    with pytest.raises(DigestMismatch, match=path):
        parameters(ReleaseSpec(model="chat", dataset="data.jsonl"), asked(remote))


def test_the_step_takes_no_reference_that_is_not_resolved(tools: Tools) -> None:
    with pytest.raises(BadInput, match=r"gate\.reference.*nexus params"):
        run(tools, rows(9), reference="stable")
