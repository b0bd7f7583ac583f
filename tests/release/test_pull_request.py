"""The text of a pull request is the evidence: the same change has the same text, held against files in golden/."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from nexus_release.config import load_settings
from nexus_release.documents import yaml_text
from nexus_release.evidence.pull_request import LONGEST, pull_request_text
from nexus_release.plan import Plan, Pointer, admitted, promoted, shifted
from nexus_release.policies import policies_path
from nexus_release.promotion.evidence import asked_of, impact_of
from nexus_release.record import record_path

from ..support.promotable import CLUSTERS, MODEL, plant_clusters, promotable
from ..support.releases import make_pointer, plant_plan, plant_record

GOLDEN = Path(__file__).with_name("golden")
ONE, TWO = promotable(1), promotable(2, worst={"perplexity": 0.009})
FIRST, SECOND = make_pointer(ONE), make_pointer(TWO)
ALONE = admitted(None, MODEL, FIRST)
ENTERED = admitted(ALONE, MODEL, SECOND)
PRICES = {
    "currency": "EUR",
    "gpu_hour": {"H100-80GB": "3.00"},
    "cpu_core_hour": "0.01",
    "memory_gib_hour": "0",
}
REPORT = "| tenant | moves |\n| --- | --- |\n| acme | 12 % |\n"


class Trees:
    """A repository before a change and after it."""

    def __init__(self, folder: Path) -> None:
        self.before, self.after = folder / "before", folder / "after"
        self.policies: dict[str, list[str] | None] = {}
        plant_clusters(self.before)
        for environment in CLUSTERS:
            settings = self.before / f"environments/{environment}/settings.yaml"
            settings.write_text(yaml_text({**yaml.safe_load(settings.read_text()), "prices": PRICES}))
        for record in (ONE, TWO):
            plant_record(self.before, record)

    def change(self, environment: str, before: Plan | None, after: Plan) -> None:
        path = self.before / policies_path(environment)
        allowed = {name: {"models": models} for name, models in self.policies.items()}
        path.write_text(yaml_text({"policies": allowed})) if self.policies else path.unlink(missing_ok=True)
        if before:
            plant_plan(self.before, environment, before)
        shutil.copytree(self.before, self.after)
        plant_plan(self.after, environment, after)

    def text(self, environment: str, pointer: Pointer, message: str, simulated: str = "") -> str:
        """With two lines in place of the diff, which follows from the renderer and has tests of its own."""
        asked = asked_of(self.before, self.after, environment, MODEL, pointer, message)
        assert f"+++ b/gitops/{environment}/" in asked.diff
        return pull_request_text(replace(asked, diff="-one line\n+another\n"), simulated)


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    return Trees(tmp_path)


def held_golden(name: str, text: str) -> None:
    """A file that is missing is written, and the test fails so that a person reads it."""
    path = GOLDEN / f"{name}.md"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        pytest.fail(f"{path.name} is written anew: read it")
    assert text == path.read_text(encoding="utf-8")


def test_a_first_release_in_an_environment(trees: Trees) -> None:
    plant_plan(trees.before, "dev", ALONE)
    trees.change("staging", None, ALONE)
    text = trees.text("staging", FIRST, f"Admit release {FIRST.release[:12]} of {MODEL} to staging, stable in dev")
    held_golden("first", text)
    assert "it is stable in dev" in text
    assert "not measured: no canary" in text


def test_a_later_release_beside_the_stable_one_with_policies_and_a_simulation(trees: Trees) -> None:
    plant_plan(trees.before, "staging", admitted(None, MODEL, SECOND))
    trees.policies = {"acme": [MODEL], "batch": [MODEL, "other"], "other": ["other"], "anyone": None}
    trees.change("prod", ALONE, ENTERED)
    text = trees.text("prod", SECOND, f"Admit release {SECOND.release[:12]} of {MODEL} to prod", REPORT)
    held_golden("canary", text)
    assert "2 named: acme, batch; 1 more may ask for any model" in text
    assert text.endswith(REPORT)


def test_a_promotion_moves_traffic_and_starts_nothing(trees: Trees) -> None:
    plan = shifted(ENTERED, SECOND.release, 20)
    trees.change("staging", plan, promoted(plan, SECOND.release, 1))
    text = trees.text("staging", SECOND, f"Promote release {SECOND.release[:12]} of {MODEL}")
    held_golden("promotion", text)
    assert "Traffic: 80 % moves" in text
    assert "Approvals needed: 2" in text


def test_the_same_change_has_the_same_text(trees: Trees, tmp_path: Path) -> None:
    trees.change("staging", None, ALONE)
    again = Trees(tmp_path / "again")
    again.change("staging", None, ALONE)
    assert trees.text("staging", FIRST, "Admit it") == again.text("staging", FIRST, "Admit it")


def test_nothing_that_a_record_says_becomes_markup(trees: Trees) -> None:
    trees.change("staging", None, ALONE)
    text = trees.text("staging", FIRST, "Admit <img src=x> @everybody | [a](b)")
    assert "<img" not in text
    assert "@everybody" not in text
    assert r"\[a\](b)" in text


def test_a_text_longer_than_a_forge_takes_is_cut_and_says_so(trees: Trees) -> None:
    trees.change("staging", None, ALONE)
    text = trees.text("staging", FIRST, "Admit it", "x" * 70_000)
    assert len(text) == LONGEST
    assert text.endswith("*The rest is left out: the forge takes no longer text.*\n")


def test_what_was_measured_under_traffic_is_named(trees: Trees) -> None:
    trees.change("staging", None, ALONE)
    path = f"gitops/evidence/staging/{MODEL}/{'a' * 64}.json"
    (trees.after / path).parent.mkdir(parents=True)
    (trees.after / path).write_text(f'{{"release": "{FIRST.release}"}}')
    (trees.after / path).with_name(f"{'b' * 64}.json").write_text('{"release": "another"}')
    text = trees.text("staging", FIRST, "Admit it")
    assert f"| latency | {path.replace('_', chr(92) + '_')} |" in text
    assert "b" * 64 not in text


@pytest.mark.parametrize(
    ("before", "after", "people", "why"),
    [
        (ENTERED, shifted(ENTERED, SECOND.release, 20), 1, ["every change"]),
        (ENTERED, shifted(ENTERED, SECOND.release, 51), 2, ["every change", "51 % of the traffic moves, over 50 %"]),
        (None, ALONE, 2, ["every change", "the environment's cost rises from nothing, over 20 %"]),
        (ALONE, ENTERED, 2, ["every change", "the environment's cost rises 100 %, over 20 %"]),
        (ENTERED, ALONE, 1, ["every change"]),
    ],
    ids=["a fifth", "half and more", "a first model", "twice the pods", "fewer pods"],
)
def test_approvals_grow_with_traffic_and_cost(
    trees: Trees, before: Plan | None, after: Plan, people: int, why: list[str]
) -> None:
    trees.change("staging", before, after)
    found = impact_of(trees.before, trees.after, "staging", MODEL)
    assert found.approvals == people
    assert [reason for _, reason in found.needs] == why


def test_approvals_grow_with_those_who_are_named(trees: Trees) -> None:
    over = load_settings(trees.before, "staging").approvals.callers.over
    trees.policies = {f"tenant-{number}": [MODEL] for number in range(over + 1)}
    trees.change("staging", ENTERED, shifted(ENTERED, SECOND.release, 1))
    found = impact_of(trees.before, trees.after, "staging", MODEL)
    assert (found.approvals, found.needs[-1][1]) == (2, f"{over + 1} callers are named for it, over {over}")


def test_a_change_cannot_ease_the_rules_that_judge_it(trees: Trees) -> None:
    trees.change("staging", None, ALONE)
    settings = trees.after / "environments/staging/settings.yaml"
    settings.write_text(settings.read_text() + "approvals: {any: 0, cost: {over: 1000, people: 0}}\n")
    assert impact_of(trees.before, trees.after, "staging", MODEL).approvals == 2
    assert (trees.after / record_path(MODEL, FIRST.release)).exists()
