"""`nexus check-pr` on a canary's step that waits for people: it follows from its evidence, or some proof lies."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nexus_release.adapters.git import GitRepository
from nexus_release.canary.step import step
from nexus_release.digests import canonical_json, digest_bytes
from nexus_release.plan import admitted, plan_path, read_plan, shifted

from ..support.canary_traffic import SAME, Behaviour, MadeUpFigures
from ..support.promotable import MODEL
from ..support.pull_requests import FIRST, SECOND, Sample, grown
from ..support.releases import plant_plan
from ..support.remotes import Remote, git

ENTERED = admitted(admitted(None, MODEL, FIRST), MODEL, SECOND)
LATER = timedelta(hours=24)
"""Enough requests for a step at 1 %."""
FOLDER = f"gitops/evidence/staging/{MODEL}"
GOOD, BAD = "good-figures", "bad-figures"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> tuple[Remote, Path]:
    """TWO is a canary at weight 0 in staging, where people look at each step."""
    remote, folder = grown(tmp_path_factory.mktemp("house"))
    settings = "environments/staging/settings.yaml"
    text = remote.file(settings).decode().replace("canary:\n", "canary:\n  landing: review\n")
    remote.commit({settings: text})
    remote.plan(ENTERED, "TWO enters staging", "staging")
    return remote, folder


@pytest.fixture(scope="module")
def walked(house: tuple[Remote, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Remote, Path]:
    """A person has given it 1 %; what then follows from good figures waits in a branch, and from bad ones in
    another."""
    remote = Remote.copied(house[0], tmp_path_factory.mktemp("walked"))
    remote.plan(shifted(ENTERED, SECOND.release, 1), "TWO gets 1 %", "staging")
    for name, behaviour in ((GOOD, SAME), (BAD, Behaviour(errors=0.2))):
        figures = MadeUpFigures(behaviour)
        now = datetime.now(UTC) + LATER
        stepped = step(GitRepository(str(remote.path)), lambda of=figures: of, "staging", MODEL, now, dry=False)
        assert stepped.landed is not None
        assert not stepped.landed.landed
        remote.git("branch", "--move", stepped.landed.branch, name)
    return remote, house[1]


def test_a_step_that_the_command_leaves_for_people_holds(
    house: tuple[Remote, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first one: at weight 0 no figures are asked for."""
    sample = Sample.copied(house, tmp_path, monkeypatch, capsys)
    told = sample.told("canary", "step", MODEL, "--env", "staging")
    assert (told["decision"]["action"], told["landed"]) == ("advance", False)
    assert_holds(sample, told["branch"])
    sample.merge(told["branch"])
    sample.remote.pull()
    assert read_plan(sample.remote.clone, "staging", MODEL) == shifted(ENTERED, SECOND.release, 1)
    assert (sample.remote.clone / told["evidence"]).is_file()


@pytest.fixture
def sample(
    walked: tuple[Remote, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Sample:
    return Sample.copied(walked, tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("branch", [GOOD, BAD])
def test_a_step_that_follows_from_its_figures_holds(sample: Sample, branch: str) -> None:
    assert_holds(sample, branch)


def assert_holds(sample: Sample, branch: str) -> None:
    found = sample.proofs(branch)
    assert {name: said for name, (state, said) in found.items() if state != "holds"}.keys() == {"approvals"}, found
    assert found["approvals"][0] == "unproved"


def step_of(clone: Path, branch: str) -> Path:
    """The branch's files; returns its evidence."""
    git(clone, "fetch", "--quiet", "origin", branch)
    git(clone, "checkout", "--quiet", "FETCH_HEAD", "--", ".")
    (evidence,) = (clone / FOLDER).glob("*.json")
    return evidence


def rewritten(evidence: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """With other content, under its right name."""
    document = json.loads(evidence.read_bytes())
    change(document)
    data = canonical_json(document) + b"\n"
    evidence.unlink()
    evidence.with_name(f"{digest_bytes(data).removeprefix('sha256:')}.json").write_bytes(data)


def weigh(clone: Path, weight: int) -> None:
    plant_plan(clone, "staging", shifted(ENTERED, SECOND.release, weight))


def a_longer_stride(clone: Path) -> None:
    rewritten(step_of(clone, GOOD), lambda told: told["decision"].update(weight=50))
    weigh(clone, 50)


def further_than_the_evidence(clone: Path) -> None:
    step_of(clone, GOOD)
    weigh(clone, 50)


def good_words_over_bad_figures(clone: Path) -> None:
    good = {"action": "advance", "weight": 5, "reason": "nothing worse than allowed at 1 %"}
    rewritten(step_of(clone, BAD), lambda told: told.update(decision=good))
    weigh(clone, 5)


def softer_bounds(clone: Path) -> None:
    rewritten(step_of(clone, BAD), lambda told: told["bounds"].update(alpha="1e-30"))


def other_bytes_than_its_name(clone: Path) -> None:
    evidence = step_of(clone, GOOD)
    evidence.write_bytes(evidence.read_bytes() + b"\n")


def evidence_alone(clone: Path) -> None:
    step_of(clone, GOOD)
    weigh(clone, 1)


def evidence_beside_code(clone: Path) -> None:
    evidence_alone(clone)
    (clone / "README.md").write_text("hello\n")


@pytest.mark.parametrize(
    ("edit", "name", "says"),
    [
        (a_longer_stride, "rendered", "its figures and bounds give another decision than it tells"),
        (
            further_than_the_evidence,
            "rendered",
            f"{plan_path('staging', MODEL)}: not what the evidence decides: advance",
        ),
        (good_words_over_bad_figures, "rendered", "its figures and bounds give another decision than it tells"),
        (softer_bounds, "rendered", "not the `canary` of staging's settings"),
        (other_bytes_than_its_name, "rendered", "expected sha256:"),
        (evidence_alone, "one model", "no plan from which it follows"),
        (evidence_beside_code, "no model", f"{FOLDER}/"),
    ],
)
def test_a_step_that_is_not_what_it_tells_is_a_proof_that_lies(
    sample: Sample, edit: Callable[[Path], None], name: str, says: str
) -> None:
    sample.branch(edit)
    state, said = sample.proofs()[name]
    assert (state, says in said) == ("lies", True), said


def test_evidence_that_main_has_is_not_taken_away_beside_code(sample: Sample) -> None:
    sample.merge(GOOD)

    def edit(clone: Path) -> None:
        for path in (clone / FOLDER).glob("*.json"):
            path.unlink()
        (clone / "README.md").write_text("hello\n")

    sample.branch(edit)
    state, said = sample.proofs()["no model"]
    assert (state, FOLDER in said) == ("lies", True)
