"""The files by which GitHub and GitLab prove pull requests: both run `make check-pr`, by main's program, with little
right."""

from __future__ import annotations

import re
from typing import Any

import yaml

from ..support.repository import ROOT

Document = dict[str, Any]


def github() -> Document:
    document = yaml.load((ROOT / ".github/workflows/check-pr.yml").read_text(), yaml.BaseLoader)  # noqa: S506 - it makes texts alone, so `on` stays a word
    assert isinstance(document, dict)
    return document


def gitlab() -> Document:
    document = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text())
    assert isinstance(document, dict)
    return document


def test_github_proves_each_change_of_a_pull_request_and_of_its_reviews() -> None:
    assert set(github()["on"]) == {"pull_request", "pull_request_review"}, "pull_request_target would lend a secret"
    assert github()["permissions"] == {"contents": "read", "pull-requests": "read"}
    (job,) = github()["jobs"].values()
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs[-1] == "make check-pr BASE=origin/main HEAD=refs/nexus/head"


def test_github_runs_main_s_program_on_the_whole_history_and_leaves_no_credential() -> None:
    (job,) = github()["jobs"].values()
    (checkout,) = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
    assert checkout["with"] == {"ref": "main", "fetch-depth": "0", "persist-credentials": "false"}


def test_github_s_actions_are_pinned_and_nothing_that_people_write_is_put_into_a_script() -> None:
    (job,) = github()["jobs"].values()
    for step in job["steps"]:
        if "uses" in step:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", step["uses"])
        assert "${{" not in step.get("run", ""), "a branch's name would be run as a script"


def test_gitlab_proves_merge_requests_by_main_s_program() -> None:
    job = gitlab()["check-pr"]
    assert job["variables"]["GIT_DEPTH"] == "0"
    assert (
        job["script"][-1]
        == 'make check-pr BASE=origin/main HEAD="${CI_MERGE_REQUEST_SOURCE_BRANCH_SHA:-$CI_COMMIT_SHA}"'
    )
    assert "git checkout --quiet --detach origin/main" in job["script"]
    assert "merge_request_event" in job["rules"][0]["if"]
