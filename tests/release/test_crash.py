"""Whatever dies, and wherever: a second run ends as one that nothing disturbed. See `tests/chaos/release.py`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from nexus_release.graph import NODES

from ..support.repository import ROOT

pytestmark = [pytest.mark.services, pytest.mark.train, pytest.mark.timeout(1500)]

BOUNDARIES = {
    "a store entry appears": r"quantize: os\.rename work/store/sha256/<digest>",
    "the end of each step": rf"({'|'.join(NODES)}): os\.rename work/steps/",
    "the run in the registry": r"register: POST .*/runs/create",
    "the LoggedModel in the registry": r"register: POST .*/logged-models",
    "the upload of what it is": r"register: PUT .*MLmodel",
    "the upload of the content": r"register: PUT .*content\.json",
    "the version in the registry": r"register: POST .*/model-versions/create",
    "the diff in the store": r"render: os\.rename work/store/sha256/<digest>",
    "main's own code renders": r"propose: run python render",
    "the commit": r"propose: git commit",
    "the push of the branch": r"propose: git push branch",
    "the push to main": r"propose: git push main",
    "main before it moves": r"pre-receive of refs/heads/main",
    "main after it moved": r"post-receive of refs/heads/main",
    "the branch goes": r"propose: git push branch away",
    "the summary": r"summary: os\.rename work/runs",
}


@pytest.fixture(scope="module")
def walked() -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.release", "--json"], cwd=ROOT, capture_output=True, text=True
    )
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert results, f"{done.stdout}\n{done.stderr}"
    return results


def test_a_second_run_ends_as_one_that_nothing_disturbed(walked: list[dict[str, Any]]) -> None:
    """The same record, one version, one run, the same two commits, no branch, no lie, no broken entry."""
    assert [one for one in walked if not one["converged"]] == []


def test_a_run_that_was_not_killed_says_in_one_line_what_is_the_matter(walked: list[dict[str, Any]]) -> None:
    ended = [one for one in walked if one["trouble"] != "kill"]
    assert {one["trouble"] for one in ended} == {"disk full", "unreachable"}
    assert [one for one in ended if not one["told"]] == []


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_the_walk_has_been_at(walked: list[dict[str, Any]], boundary: str) -> None:
    killed = [one["case"] for one in walked if one["trouble"] == "kill" and one["first"] == -9]
    found = {hit[0] for case in killed if (hit := re.match(BOUNDARIES[boundary], case))}
    assert len(found) == (len(NODES) if boundary == "the end of each step" else 1), killed
