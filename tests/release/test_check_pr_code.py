"""`nexus check-pr` on pull requests that change policies, settings or code, and on who has agreed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nexus_release.plan import plan_path

from ..support.forge_server import TOKEN, forge
from ..support.promotable import MODEL, promotable
from ..support.pull_requests import BRANCH, Sample, admit_two, grown, render
from ..support.releases import plant_record
from ..support.remotes import Remote

STAGING = plan_path("staging", MODEL)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> tuple[Remote, Path]:
    return grown(tmp_path_factory.mktemp("house"))


@pytest.fixture
def sample(
    house: tuple[Remote, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Sample:
    return Sample.copied(house, tmp_path, monkeypatch, capsys)


def code_beside_a_plan(clone: Path) -> None:
    admit_two(clone)
    (clone / "Makefile").write_text("all:\n")


def settings_in_a_circle(clone: Path) -> None:
    path = clone / "environments/dev/settings.yaml"
    path.write_text(path.read_text() + "promotion: {from: prod}\n")


def settings_not_rendered(clone: Path) -> None:
    path = clone / "environments/dev/settings.yaml"
    path.write_text(path.read_text() + "replicas: {minimum: 3, maximum: 3}\n")


def record_beside_code(clone: Path) -> None:
    plant_record(clone, promotable(9))
    (clone / "README.md").write_text("hello\n")


def evidence_beside_code(clone: Path) -> None:
    path = clone / f"gitops/evidence/staging/{MODEL}/{'0' * 64}.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}\n")
    (clone / "README.md").write_text("hello\n")


def linked_settings(clone: Path) -> None:
    (clone / "environments/moon").mkdir()
    (clone / "environments/moon/models").symlink_to("../../plans")
    (clone / "plans").mkdir()
    (clone / "plans/README.md").write_text("hello\n")


def policies_beside_code(clone: Path) -> None:
    everybody_may_ask(clone)
    (clone / "README.md").write_text("hello\n")


@pytest.mark.parametrize(
    ("edit", "name", "says"),
    [
        (code_beside_a_plan, "no model", "a plan or a record changes in a pull request of its own"),
        (record_beside_code, "no model", "a plan or a record changes in a pull request of its own"),
        (evidence_beside_code, "no model", "a plan or a record changes in a pull request of its own"),
        (linked_settings, "plain files", "environments/moon/models: mode 120000"),
        (policies_beside_code, "policy tests", "guest"),
        (settings_in_a_circle, "settings", "it goes in a circle"),
        (settings_not_rendered, "rendered", "does not follow from its sources"),
    ],
)
def test_each_way_of_being_bad_code_or_settings_is_a_proof_that_lies(
    sample: Sample, edit: Callable[[Path], None], name: str, says: str
) -> None:
    sample.branch(edit)
    state, said = sample.proofs()[name]
    assert (sample.check().status, state, says in said) == (1, "lies", True), said


def everybody_may_ask(clone: Path) -> None:
    (clone / "environments/staging/policies.yaml").write_text("policies: {guest: {}}\n")
    render(clone)


def policies_not_rendered(clone: Path) -> None:
    path = clone / "environments/staging/policies.yaml"
    path.write_text(path.read_text().replace("60", "61"))


def policies_and_a_plan(clone: Path) -> None:
    admit_two(clone)
    everybody_may_ask(clone)


@pytest.mark.parametrize(
    ("edit", "name", "says"),
    [
        (everybody_may_ask, "policy tests", "guest"),
        (policies_not_rendered, "rendered", "does not follow from its sources"),
        (policies_and_a_plan, "policies alone", f"{STAGING}: no part of the policies of staging"),
    ],
)
def test_policies_are_proved_by_their_own_tests_and_change_alone(
    sample: Sample, edit: Callable[[Path], None], name: str, says: str
) -> None:
    sample.branch(edit)
    told = json.loads(sample.check(BRANCH, "--json").out)
    (found,) = [one for one in told["proofs"] if one["name"] == name]
    assert (told["kind"], found["state"]) == ("policies", "lies")
    assert says in "\n".join(found["said"])


def test_settings_and_code_are_judged_as_such(sample: Sample) -> None:
    sample.branch(lambda clone: (clone / "README.md").write_text("hello\n"))
    done = sample.check()
    assert done.status == 0, done.out
    assert done.out.startswith("a change of code:")
    assert "unproved  approvals       2 needed; no forge tells here who has agreed" in done.out


def test_policies_beside_code_need_as_many_people_as_policies_alone(sample: Sample) -> None:
    base = sample.remote.files("environments/base.yaml")["environments/base.yaml"].decode()
    sample.remote.commit({"environments/base.yaml": base.replace("policies: 2", "policies: 5")})
    sample.branch(policies_beside_code)
    assert sample.proofs()["approvals"] == ("unproved", "5 needed; no forge tells here who has agreed")


def eases_its_own_approvals(clone: Path) -> None:
    """What the branch brings as its renderer runs beside main's files, which say how many must agree."""
    path = clone / "pipelines/nexus_release/cli.py"
    path.unlink()
    path.write_text(
        "from pathlib import Path\n"
        "base = Path('..', 'before', 'environments', 'base.yaml')\n"
        "base.write_text(base.read_text().replace('code: 2', 'code: 0'))\n"
    )


def test_a_renderer_that_a_branch_brings_does_not_ease_the_number_of_approvals(sample: Sample) -> None:
    sample.branch(eases_its_own_approvals)
    assert sample.proofs()["approvals"][0] == "unproved"


def test_who_has_agreed_is_asked_of_the_forge_and_counted(sample: Sample) -> None:
    sample.branch(lambda clone: (clone / "README.md").write_text("hello\n"))
    with forge("gitea") as server:
        server.repository = str(sample.remote.path).strip("/").removesuffix(".git")
        server.open(BRANCH, "A change", "text")["head"]["sha"] = sample.remote.refs()[BRANCH]
        asked = {"FORGE": "gitea", "FORGE_URL": server.url, "FORGE_TOKEN": TOKEN, "PR_BRANCH": BRANCH}
        for name, value in asked.items():
            sample.nexus.monkeypatch.setenv(f"NEXUS_{name}", value)
        server.reviews = [("ann", "APPROVED", True)]
        assert sample.proofs()["approvals"] == ("lies", "2 needed, 1 given: ann")
        server.reviews += [("bo", "APPROVED", True)]
        assert sample.proofs()["approvals"] == ("holds", "2 of 2 needed")
        sample.branch(lambda clone: (clone / "README.md").write_text("something else\n"), name="other")
        assert sample.proofs("other")["approvals"][0] == "unproved", "they agreed to another commit"
