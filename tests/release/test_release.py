"""A release as a whole, through the command: how it ends, and what it leaves in every case."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..support.releases import plant_environments
from ..support.remotes import Remote
from ..support.repository import ROOT

BIN = Path(sys.executable).parent


def release(folder: Path, dataset: str, *flags: str) -> subprocess.CompletedProcess[str]:
    (folder / "spec.yaml").write_text(json.dumps({"model": "chat", "dataset": dataset}))
    environment = {**os.environ, "NEXUS_STATE": str(folder / "state"), "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    return subprocess.run(
        [str(BIN / "nexus"), "release", "spec.yaml", "--root", str(ROOT), *flags],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def summary(folder: Path) -> dict[str, Any]:
    (path,) = (folder / "state" / "runs").glob("*/summary.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture(autouse=True)
def remote(tmp_path: Path) -> Remote:
    """It has no release of the model yet."""
    (tmp_path / "state").mkdir()
    return Remote(tmp_path / "state", plant_environments)


@pytest.fixture
def bad_data(tmp_path: Path) -> str:
    (tmp_path / "bad.jsonl").write_text("no JSON\n" * 10)
    return "bad.jsonl"


def test_a_refused_release_ends_with_3_and_says_why(tmp_path: Path, bad_data: str) -> None:
    done = release(tmp_path, bad_data)
    assert done.returncode == 3
    assert "validate: 10 of 10 rows break the contract (100.0%), 20.0% are allowed" in done.stderr


def test_after_a_refusal_no_later_step_has_run(tmp_path: Path, bad_data: str) -> None:
    release(tmp_path, bad_data)
    left = summary(tmp_path)
    assert left["outcome"] == "refused"
    assert [step["step"] for step in left["steps"]] == ["validate"]
    assert left["inputs"]["dataset"] == "bad.jsonl"


def test_a_dry_run_says_which_steps_would_run_and_runs_none(tmp_path: Path, bad_data: str) -> None:
    done = release(tmp_path, bad_data, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "chat for local, of bad.jsonl, by W8A8"
    assert "  propose    writes to git" in done.stdout
    assert json.loads(release(tmp_path, bad_data, "--dry-run", "--json").stdout)["model"] == "chat"
    assert not (tmp_path / "state" / "runs").exists()


def test_the_same_release_again_reuses_what_is_unchanged(tmp_path: Path, bad_data: str) -> None:
    release(tmp_path, bad_data)
    done = release(tmp_path, bad_data)
    assert "validate: unchanged, reused" in done.stdout
    assert [step["step"] for step in summary(tmp_path)["steps"]] == ["validate"]


def test_a_missing_dataset_ends_with_1_and_leaves_a_summary(tmp_path: Path) -> None:
    done = release(tmp_path, "none.jsonl")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "nexus: dataset none.jsonl: no such file"
    assert (summary(tmp_path)["outcome"], summary(tmp_path)["steps"]) == ("failed", [])


def test_json_is_the_summary_itself(tmp_path: Path, bad_data: str) -> None:
    done = release(tmp_path, bad_data, "--json")
    assert json.loads(done.stdout) == summary(tmp_path)


def test_an_environment_that_is_not_there_ends_with_2_and_lists_those_that_are(tmp_path: Path, bad_data: str) -> None:
    done = release(tmp_path, bad_data, "--env", "moon")
    assert done.returncode == 2
    assert "'moon'" in done.stderr
    assert "local" in done.stderr


def test_one_step_as_a_container_runs_it(tmp_path: Path, bad_data: str) -> None:
    """A gate's no is exit status 0: an engine would take anything else for a crash, and try again."""
    gate = {"min_rows": 1}
    given = {"model": "chat", "environment": "local", "dataset": bad_data, "declaration": None, "gate": gate}
    (tmp_path / "in.json").write_text(json.dumps(given))
    words = ["step", "validate", "--in", "in.json", "--out", "out.json", "--work", (tmp_path / "work").as_uri()]
    done = subprocess.run([str(BIN / "nexus"), *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    out = json.loads((tmp_path / "out.json").read_text())
    assert (out["accepted"], out["refused_rows"]) == (False, 10)
