"""`nexus check-pr` on sample pull requests in real Git: good ones of every kind, and each way of being bad."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nexus_release.digests import digest_bytes
from nexus_release.plan import admitted, plan_path, plan_text, promoted, read_plan, shifted
from nexus_release.record import record_path, record_text, release_id

from ..support.promotable import MODEL, Company, promotable
from ..support.pull_requests import BRANCH, FIRST, OTHER, SECOND, THIRD, Sample, admit_two, grown, render
from ..support.releases import plant_plan
from ..support.remotes import Remote, git

STAGING = plan_path("staging", MODEL)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> tuple[Remote, Path]:
    return grown(tmp_path_factory.mktemp("house"))


@pytest.fixture
def sample(
    house: tuple[Remote, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Sample:
    return Sample.copied(house, tmp_path, monkeypatch, capsys)


@pytest.mark.timeout(900)  # a dozen processes that render
def test_every_step_of_a_model_s_way_is_a_good_pull_request(sample: Sample) -> None:
    """Admission, canary, promotion, rollback, each as Nexus makes it."""
    for words in (
        ("promote", MODEL, "--to", "staging"),
        ("canary", MODEL, "--weight", "30", "--env", "staging"),
        ("promote", MODEL, "--env", "staging"),
        ("promote", MODEL, "--to", "prod"),
        ("rollback", MODEL, "--env", "staging"),
    ):
        branch = sample.told(*words)["branch"]
        done = sample.check(branch, "--json")
        found = {one["name"]: (one["state"], one["said"]) for one in json.loads(done.out)["proofs"]}
        assert done.status == 0, found
        assert {name for name, (state, _) in found.items() if state != "holds"} == {"approvals"}
        sample.merge(branch)
    sample.remote.pull()
    assert read_plan(sample.remote.clone, "staging", MODEL) is not None


def test_a_withdrawal_of_a_whole_model_is_good(sample: Sample) -> None:
    def withdraw(clone: Path) -> None:
        (clone / plan_path("staging", OTHER)).unlink()
        render(clone)

    sample.branch(withdraw)
    assert sample.check().status == 0


def into_staging_without_dev(clone: Path) -> None:
    plant_plan(clone, "staging", admitted(admitted(None, MODEL, FIRST), MODEL, THIRD))


def weight_on_what_is_absent(clone: Path) -> None:
    plant_plan(clone, "staging", shifted(admitted(admitted(None, MODEL, FIRST), MODEL, SECOND), SECOND.release, 10))


def foreign_path(clone: Path) -> None:
    admit_two(clone)
    (clone / "gitops/prod/note.yaml").write_text("by: hand\n")


def another_model_too(clone: Path) -> None:
    admit_two(clone)
    plant_plan(clone, "dev", admitted(None, MODEL, FIRST))


def edited_record(clone: Path) -> None:
    admit_two(clone)
    path = clone / record_path(MODEL, FIRST.release)
    path.write_text(path.read_text().replace('"machine": "a test"', '"machine": "b test"'))


def edited_figure(clone: Path) -> None:
    admit_two(clone)
    path = clone / record_path(MODEL, SECOND.release)
    path.write_text(path.read_text().replace("0.005000", "0.001000"))


def tampered_tree(clone: Path) -> None:
    admit_two(clone)
    (path,) = (clone / f"gitops/staging/{MODEL}").glob(f"*{SECOND.release[:8]}.yaml")
    path.write_text(path.read_text().replace("replicas: 1", "replicas: 9").replace("Replicas: 1", "Replicas: 9"))


def tampered_tree_alone(clone: Path) -> None:
    (path,) = (clone / f"gitops/staging/{MODEL}").glob(f"*{FIRST.release[:8]}.yaml")
    path.write_text(path.read_text() + "# by hand\n")


def wrong_pointer(clone: Path) -> None:
    admit_two(clone)
    path = clone / STAGING
    path.write_text(path.read_text().replace(SECOND.record, digest_bytes(b"another")))


def linked_plan(clone: Path) -> None:
    admit_two(clone)
    (clone / STAGING).unlink()
    (clone / STAGING).symlink_to("../../dev/models/pydoc-chat.yaml")


def linked_in_the_tree(clone: Path) -> None:
    admit_two(clone)
    (clone / f"gitops/staging/{MODEL}/extra.yaml").symlink_to("/etc/passwd")


def program_in_the_tree(clone: Path) -> None:
    admit_two(clone)
    (clone / STAGING).chmod(0o755)


def twice_the_same_key(clone: Path) -> None:
    admit_two(clone)
    path = clone / STAGING
    path.write_text(path.read_text() + f"model: {MODEL}\n")


def unknown_environment(clone: Path) -> None:
    path = clone / plan_path("moon", MODEL)
    path.parent.mkdir(parents=True)
    path.write_text(plan_text(admitted(None, MODEL, FIRST)))


def plan_of_another_name(clone: Path) -> None:
    (clone / plan_path("staging", "pydoc")).write_text(plan_text(admitted(None, MODEL, FIRST)))


@pytest.mark.parametrize(
    ("edit", "name", "says"),
    [
        (into_staging_without_dev, "passed below", f"it is not stable in dev, where {SECOND.release[:12]} is"),
        (weight_on_what_is_absent, "rendered", "would get 10 % and is not up yet"),
        (foreign_path, "one model", "gitops/prod/note.yaml: no part of pydoc-chat in staging"),
        (another_model_too, "one model", f"{plan_path('dev', MODEL)}: one of 2 plans"),
        (edited_record, "records", "byte"),
        (edited_record, "rendered", "records are append-only"),
        (edited_figure, "records", "expected"),
        (tampered_tree, "rendered", "not what the plans render"),
        (tampered_tree_alone, "one model", "no plan from which it follows"),
        (wrong_pointer, "records", f"the plan names {digest_bytes(b'another')}"),
        (linked_plan, "one model", "it is no plain file"),
        (linked_plan, "plain files", "mode 120000"),
        (linked_in_the_tree, "plain files", "mode 120000"),
        (program_in_the_tree, "plain files", "mode 100755"),
        (twice_the_same_key, "plain files", "the key model again"),
        (unknown_environment, "one model", "which is no environment of main"),
        (plan_of_another_name, "one model", "its plan is"),
    ],
)
def test_each_way_of_being_bad_is_a_proof_that_lies(
    sample: Sample, edit: Callable[[Path], None], name: str, says: str
) -> None:
    sample.branch(edit)
    done = sample.check()
    state, said = sample.proofs()[name]
    assert (done.status, state) == (1, "lies"), done.out
    assert says in said
    assert said.splitlines()[0] in done.out


def test_a_release_that_misses_a_gate_of_the_target_is_named_with_its_figure(sample: Sample) -> None:
    weak = promotable(5, worst={"perplexity": 0.03})
    pointer = sample.company.make(weak)
    sample.remote.plan(admitted(None, MODEL, pointer), "stable in dev", "dev")
    sample.branch(lambda clone: plant_plan(clone, "staging", admitted(admitted(None, MODEL, FIRST), MODEL, pointer)))
    state, said = sample.proofs()["gates"]
    assert (state, "perplexity 21.40, base 21.30: 0.03000" in said) == ("lies", True)


def test_a_release_that_nobody_trusted_has_signed_is_refused_where_its_store_is_at_hand(sample: Sample) -> None:
    unsigned = promotable(6)
    other = Company(sample.remote, sample.remote.path.parent)
    other.tools.connections = other.connections.model_copy(update={"signing_key": ""})
    pointer = other.make(unsigned)
    sample.nexus.monkeypatch.setenv("NEXUS_WORK", other.connections.work)
    sample.remote.plan(admitted(None, MODEL, pointer), "stable in dev", "dev")
    sample.branch(lambda clone: plant_plan(clone, "staging", admitted(admitted(None, MODEL, FIRST), MODEL, pointer)))
    state, said = sample.proofs()["signatures"]
    assert (state, "signed by" in said) == ("lies", True)


def test_without_the_store_a_signature_is_unproved_and_said_to_be(sample: Sample, tmp_path: Path) -> None:
    sample.nexus.monkeypatch.setenv("NEXUS_WORK", (tmp_path / "nothing").as_uri())
    sample.branch(admit_two)
    state, said = sample.proofs()["signatures"]
    assert (state, "the cluster proves it before it syncs" in said) == ("unproved", True)
    assert sample.check().status == 0
    assert sample.check(BRANCH, "--strict").status == 1


def test_a_rollback_is_good_whatever_has_become_of_the_gates(sample: Sample) -> None:
    """Who has been stable here before may come back: from TWO to ONE, though ONE has left dev since."""
    entered = admitted(admitted(None, MODEL, FIRST), MODEL, SECOND)
    sample.remote.plan(entered, "TWO in staging", "staging")
    sample.remote.plan(promoted(shifted(entered, SECOND.release, 50), SECOND.release, 0), "stable", "staging")
    sample.branch(lambda clone: plant_plan(clone, "staging", admitted(admitted(None, MODEL, SECOND), MODEL, FIRST)))
    state, said = sample.proofs()["passed below"]
    assert (state, said) == ("holds", "what comes in has been stable here before")


def test_what_a_branch_s_own_commits_did_counts_as_no_history(sample: Sample) -> None:
    """A branch may make THREE stable and take it back: main never had it."""
    sample.remote.pull()
    sample.branch(lambda clone: plant_plan(clone, "staging", admitted(None, MODEL, THIRD)))
    clone = sample.remote.clone
    into_staging_without_dev(clone)
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", "And back")
    git(clone, "push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{BRANCH}")
    assert sample.proofs()["passed below"][0] == "lies"


def test_what_would_be_main_is_judged_and_not_the_branch_as_it_was(sample: Sample) -> None:
    sample.branch(admit_two)
    third = admitted(admitted(None, MODEL, FIRST), MODEL, THIRD)
    sample.remote.plan(third, "somebody was faster", "staging")
    done = sample.check()
    assert (done.status, done.out) == (1, "")
    assert "the branch does not merge into main; make the change anew on main" in done.err


def test_a_branch_that_changes_nothing_says_so(sample: Sample) -> None:
    assert sample.check("main").out.startswith("a change of nothing:")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--base", "main", "--head", "no-such"), "the checkout knows no such commit: fetch it first"),
        (("--base", "--upload-pack=x", "--head", "main"), "the checkout knows no such commit"),
    ],
)
def test_refs_that_are_not_there_are_refused(sample: Sample, words: tuple[str, ...], says: str) -> None:
    done = sample.nexus("check-pr", "--root", str(sample.remote.path), *words)
    assert done.status == 2
    assert says in done.err


def test_a_shallow_checkout_is_refused_with_its_mend(sample: Sample, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth=1", sample.remote.path.as_uri(), str(tmp_path / "shallow"))
    done = sample.nexus("check-pr", "--root", str(tmp_path / "shallow"), "--base", "HEAD", "--head", "HEAD")
    assert (done.status, "fetch-depth: 0" in done.err) == (2, True)


def test_a_remote_that_was_planted_from_a_checkout_of_depth_one_is_judged_as_it_is(
    sample: Sample, tmp_path: Path
) -> None:
    """As the demo's is, where the repository was cloned with --depth."""
    planted, shallow = tmp_path / "planted.git", tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", sample.remote.path.as_uri(), str(shallow))
    git(tmp_path, "init", "--quiet", "--bare", str(planted))
    git(planted, "config", "receive.shallowUpdate", "true")
    git(shallow, "push", "--quiet", str(planted), "HEAD:refs/heads/main")
    admit_two(shallow)
    git(shallow, "add", "--all")
    git(shallow, "commit", "--quiet", "-m", "A person's change")
    git(shallow, "push", "--quiet", str(planted), f"HEAD:refs/heads/{BRANCH}")
    assert git(planted, "rev-parse", "--is-shallow-repository") == "true"
    done = sample.nexus("check-pr", "--root", str(planted), "--base", "main", "--head", BRANCH)
    assert done.status == 0, done


def test_the_checkout_is_left_as_it_was(sample: Sample) -> None:
    sample.branch(admit_two)
    before = (sample.remote.refs(), sample.remote.git("count-objects", "-v"))
    sample.check()
    assert (sample.remote.refs(), sample.remote.git("count-objects", "-v")) == before


def test_a_record_of_another_model_is_a_foreign_path(sample: Sample) -> None:
    other = promotable(7, model=OTHER)
    text = record_text(other)

    def edit(clone: Path) -> None:
        admit_two(clone)
        path = clone / record_path(OTHER, release_id(other.content))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    sample.branch(edit)
    state, said = sample.proofs()["one model"]
    assert (state, "no part of pydoc-chat in staging" in said) == ("lies", True)
