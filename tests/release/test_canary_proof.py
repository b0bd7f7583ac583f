"""A step that does not follow from its evidence, from main and from the settings does not land, whoever proposes it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from nexus_release.commands.check import command as check
from nexus_release.digests import canonical_json, digest_bytes
from nexus_release.manifests.changes import refusals
from nexus_release.plan import plan_text, read_plan, shifted
from nexus_release.record import record_path

from ..support.canary_traffic import SAME, Behaviour
from ..support.canary_walk import ENOUGH, MODEL, PLAN, SLUG, TWO, plant_canary, starting
from ..support.releases import make_record, plant_plan, plant_record
from ..support.remotes import Remote, git

FOLDER = f"gitops/evidence/local/{SLUG}"


@pytest.fixture(scope="module")
def stepped(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[Path, Path]]:
    """Trees before and after true steps, by what they decide."""
    planted = plant_canary(tmp_path_factory.mktemp("planted"))
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, how in (("advance", SAME), ("revert", Behaviour(errors=0.2))):
            way = starting(planted, tmp_path_factory.mktemp(name), patch)(how)
            way.step()
            assert way.step(ENOUGH).evidence.decision.action == name
            way.remote.pull()
            found[name] = tree(way.remote, "main~1"), tree(way.remote, "main")
    return found


def tree(remote: Remote, commit: str) -> Path:
    into = remote.path.parent / commit
    git(remote.path, "clone", "--quiet", str(remote.path), str(into))
    git(into, "checkout", "--quiet", remote.git("rev-parse", commit))
    shutil.rmtree(into / ".git")
    return into


FORGERIES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another alpha": (lambda told: told["bounds"].update(alpha="1e-30"), "not the `canary` of local's settings"),
    "fewer requests a session": (
        lambda told: told["bounds"].update(session_requests="2.0"),
        "not the `canary` of local's settings",
    ),
    "other steps": (lambda told: told["bounds"].update(steps=[1, 100]), "not the `canary` of local's settings"),
    "no previous": (lambda told: told.update(previous=None), "previous: not the last evidence"),
    "another previous": (lambda told: told.update(previous="sha256:" + "0" * 64), "previous: not the last evidence"),
    "another weight": (lambda told: told.update(weight=5), "another stable release, canary or weight"),
    "another stable release": (lambda told: told.update(stable="f" * 64), "another stable release, canary or weight"),
    "another environment": (lambda told: told.update(environment="dev"), "lies elsewhere"),
    "another model": (lambda told: told.update(model="pydoc-chat"), "lies elsewhere"),
    "a key more": (lambda told: told.update(more="x"), "unknown key"),
    "an earlier beginning": (
        lambda told: told["moments"].update(since="2020-01-01T00:00:00Z", began="2020-01-01T00:00:00Z"),
        "from before",
    ),
    "seen before it was set": (
        lambda told: told["moments"].update(until=told["moments"]["since"]),
        "do not follow each other",
    ),
    "a block twice": (lambda told: told["blocks"].append(told["blocks"][-1]), "do not follow each other"),
    "no block": (lambda told: told["blocks"].clear(), "give another decision"),
    "more errors than requests": (
        lambda told: told["blocks"][0]["canary"].update(errors=10**6),
        "more of a part than of its whole",
    ),
    "other buckets": (
        lambda told: told["blocks"][0]["canary"].update(first_byte=[1]),
        "not counted by the same buckets",
    ),
    "another figure of a test": (lambda told: told["tests"][0].update(evidence="-1.00"), "give another decision"),
}


class Proposal:
    """A true step, until somebody touches it."""

    def __init__(self, trees: tuple[Path, Path], folder: Path) -> None:
        self.before, self.after = folder / "before", folder / "after"
        for one, copy in zip(trees, (self.before, self.after), strict=True):
            shutil.copytree(one, copy)
        (new,) = {*self.files(self.after)} - {*self.files(self.before)}
        self.evidence = self.after / FOLDER / new

    def files(self, root: Path) -> list[str]:
        return [path.name for path in (root / FOLDER).glob("*.json")]

    def forge(self, change: Callable[[dict[str, Any]], object]) -> None:
        """The evidence with other content, under its right name."""
        document = json.loads(self.evidence.read_bytes())
        change(document)
        self.evidence.unlink()
        data = canonical_json(document) + b"\n"
        self.evidence = self.evidence.with_name(f"{digest_bytes(data).removeprefix('sha256:')}.json")
        self.evidence.write_bytes(data)

    def weigh(self, weight: int) -> None:
        """The plan with another weight, and what it renders to."""
        plan = read_plan(self.before, "local", MODEL)
        assert plan is not None
        plant_plan(self.after, "local", shifted(plan, TWO.release, weight))

    @property
    def refusals(self) -> str:
        return "\n".join(refusals(self.before, self.after, "local", only="canary-step"))


@pytest.fixture
def advance(stepped: Mapping[str, tuple[Path, Path]], tmp_path: Path) -> Proposal:
    return Proposal(stepped["advance"], tmp_path)


@pytest.fixture
def revert(stepped: Mapping[str, tuple[Path, Path]], tmp_path: Path) -> Proposal:
    return Proposal(stepped["revert"], tmp_path)


def test_true_steps_may_land(advance: Proposal, stepped: Mapping[str, tuple[Path, Path]], tmp_path: Path) -> None:
    assert advance.refusals == ""
    assert Proposal(stepped["revert"], tmp_path / "other").refusals == ""


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("README.md", "hello\n"),
        ("pipelines/nexus_release/cli.py", "print('no more checks')\n"),
        ("environments/local/settings.yaml", "landing: merge\n"),
        ("environments/base.yaml", "retain: 0\n"),
        (".gitattributes", "* export-ignore\n"),
        ("gitops/evidence/dev/note.json", "{}\n"),
        (record_path(MODEL, "c" * 64), "{}\n"),
    ],
)
def test_whatever_else_is_changed_beside_it_is_refused(advance: Proposal, path: str, text: str) -> None:
    (advance.after / path).parent.mkdir(parents=True, exist_ok=True)
    (advance.after / path).write_text(text)
    assert path in advance.refusals


def test_a_true_record_beside_it_is_refused(advance: Proposal) -> None:
    plant_record(advance.after, make_record("another", 7))
    assert "changes its plan, its manifests and one file of evidence" in advance.refusals


def test_another_model_s_weight_is_refused(advance: Proposal) -> None:
    plan = read_plan(advance.after, "local", MODEL)
    assert plan is not None
    other = plan.model_copy(update={"model": "pydoc-chat"})
    (advance.after / "environments/local/models/pydoc-chat.yaml").write_text(plan_text(other))
    assert "environments/local/models/pydoc-chat.yaml: a step of" in advance.refusals


@pytest.mark.parametrize("weight", [0, 25, 100])
def test_another_weight_than_the_evidence_s_is_refused(advance: Proposal, weight: int) -> None:
    advance.weigh(weight)
    assert f"{PLAN}: not what the evidence decides: advance" in advance.refusals


@pytest.mark.parametrize("weight", [2, 25, 100])
def test_a_step_that_is_not_the_next_is_refused(advance: Proposal, weight: int) -> None:
    advance.forge(lambda document: document["decision"].update(weight=weight))
    advance.weigh(weight)
    assert "give another decision than it tells" in advance.refusals


def test_good_words_over_bad_figures_are_refused(revert: Proposal) -> None:
    good = {"action": "advance", "weight": 5, "reason": "nothing worse than allowed at 1 %"}
    revert.forge(lambda document: document.update(decision=good))
    revert.weigh(5)
    assert "give another decision than it tells" in revert.refusals


@pytest.mark.parametrize("forgery", FORGERIES)
def test_evidence_that_is_not_true_to_main_or_itself_is_refused(advance: Proposal, forgery: str) -> None:
    change, says = FORGERIES[forgery]
    advance.forge(change)
    assert says in advance.refusals


def test_evidence_under_a_wrong_name_or_with_other_bytes_is_refused(advance: Proposal) -> None:
    advance.evidence.write_bytes(advance.evidence.read_bytes() + b" ")
    assert "expected sha256:" in advance.refusals
    data = json.dumps(json.loads(advance.evidence.read_bytes()), indent=1).encode()
    advance.evidence.unlink()
    (advance.after / FOLDER / f"{digest_bytes(data).removeprefix('sha256:')}.json").write_bytes(data)
    assert "canonical JSON" in advance.refusals


def test_earlier_evidence_is_neither_changed_nor_removed(advance: Proposal) -> None:
    (earlier,) = advance.files(advance.before)
    path = advance.after / FOLDER / earlier
    text = path.read_bytes()
    path.write_bytes(text + b"\n")
    assert "evidence is append-only" in advance.refusals
    path.unlink()
    assert "evidence is append-only" in advance.refusals


def test_two_files_of_evidence_are_refused(advance: Proposal) -> None:
    first = advance.evidence.read_bytes()
    advance.forge(lambda document: document.update(notes=["again"]))
    other = advance.after / FOLDER / f"{digest_bytes(first).removeprefix('sha256:')}.json"
    other.write_bytes(first)
    assert "a step has one file of evidence" in advance.refusals


def test_who_may_only_step_may_not_set_a_weight_and_a_person_may(advance: Proposal) -> None:
    advance.evidence.unlink()
    assert "this change brings none" in advance.refusals
    assert refusals(advance.before, advance.after, "local") == ()
    words = [str(advance.before), str(advance.after), "--only", "canary-step"]
    done = CliRunner().invoke(check, words)
    assert "this change brings none" in str(done.exception)


def test_evidence_without_its_change_of_the_plan_is_refused(advance: Proposal) -> None:
    shutil.copy(advance.before / PLAN, advance.after / PLAN)
    assert f"{PLAN}: not what the evidence decides" in advance.refusals
    assert yaml.safe_load((advance.after / PLAN).read_text())["canary"]["weight"] == 1
