"""What engines build on: each step a process of its own, its input from what was asked and what was found out."""

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


def nexus(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NEXUS_STATE": str(folder / "state"), "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    return subprocess.run([str(BIN / "nexus"), *words], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """The folder of a release whose dataset no gate accepts, and of a remote that has none of its model."""
    (tmp_path / "state").mkdir()
    Remote(tmp_path / "state", plant_environments)
    (tmp_path / "bad.jsonl").write_text("no JSON\n" * 10)
    (tmp_path / "spec.yaml").write_text(json.dumps({"model": "chat", "dataset": "bad.jsonl"}))
    done = nexus(tmp_path, "params", "spec.yaml", "--root", str(ROOT))
    assert done.returncode == 0, done.stderr
    (tmp_path / "params.json").write_text(done.stdout)
    return tmp_path


def summary(folder: Path, *flags: str) -> dict[str, Any]:
    done = nexus(folder, "summary", "--params", "@params.json", "--json", *flags)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_parameters_are_those_of_the_laptop(asked: Path) -> None:
    nexus(asked, "release", "spec.yaml", "--root", str(ROOT))
    (path,) = (asked / "state" / "runs").glob("*/summary.json")
    assert json.loads((asked / "params.json").read_text()) == json.loads(path.read_text())["inputs"]


def test_steps_apart_leave_the_summary_that_the_whole_leaves(asked: Path) -> None:
    nexus(asked, "release", "spec.yaml", "--root", str(ROOT))
    (path,) = (asked / "state" / "runs").glob("*/summary.json")
    whole = path.read_bytes()
    (asked / "state" / "steps").rename(asked / "whole")
    done = nexus(asked, "step", "validate", "--params", "@params.json", "--out", "out.json", "--flags", "flags")
    assert done.returncode == 0, done.stderr
    assert summary(asked)["outcome"] == "refused"
    assert path.read_bytes() == whole


def test_each_yes_or_no_of_an_output_is_a_file_to_branch_by(asked: Path) -> None:
    nexus(asked, "step", "validate", "--params", "@params.json", "--out", "out.json", "--flags", "flags")
    assert {path.name: path.read_text() for path in (asked / "flags").iterdir()} == {"accepted": "false"}


def test_what_feeds_a_step_is_asked_for_by_name(asked: Path) -> None:
    done = nexus(asked, "step", "train", "--params", "@params.json", "--out", "out.json")
    assert done.returncode == 2
    assert "train is also fed by validate" in done.stderr
    assert not (asked / "out.json").exists()


def test_an_output_of_another_step_is_refused_by_its_field(asked: Path) -> None:
    words = ["--params", "@params.json", "--from", 'validate={"release": "1"}', "--out", "out.json"]
    done = nexus(asked, "step", "train", *words)
    assert done.returncode == 2
    assert "--from validate" in done.stderr


@pytest.mark.parametrize("words", [(), ("--in", "params.json", "--params", "@params.json")], ids=["neither", "both"])
def test_an_input_is_given_in_one_way(asked: Path, words: tuple[str, ...]) -> None:
    done = nexus(asked, "step", "validate", *words, "--out", "out.json")
    assert done.returncode == 2
    assert "give either --in, or --params" in done.stderr


def test_a_file_that_is_not_there_is_named(asked: Path) -> None:
    done = nexus(asked, "summary", "--params", "@none.json")
    assert done.returncode == 2
    assert "none.json" in done.stderr


def test_a_release_that_stopped_names_the_step_that_left_nothing(asked: Path) -> None:
    assert (summary(asked)["outcome"], summary(asked)["reason"]) == ("failed", "validate: it has left no result")


def test_the_engine_says_what_failed(asked: Path) -> None:
    found = summary(asked, "--failed", "validate: killed for memory")
    assert (found["outcome"], found["reason"], found["steps"]) == ("failed", "validate: killed for memory", [])


def test_argo_tells_of_each_try_and_the_last_of_the_first_step_that_failed_is_told(asked: Path) -> None:
    found = summary(
        asked,
        "--failures",
        failures(
            node("train", "train", "No more retries left"),
            node("validate(0)", "validate", "made up for"),
            node("train(0)", "train", "no room"),
            node("train(10)", "train", "still\nno room"),
            node("train(9)", "train", "no room"),
            node("release", "release", "child failed"),
        ),
    )
    assert (found["outcome"], found["reason"]) == ("failed", "train: still\\nno room")


def test_a_sign_that_go_writes_and_json_does_not_know_costs_nobody_the_summary(asked: Path) -> None:
    told = failures(node("train", "train", "cut at DEL"), node("train(0)", "train", "cut at MARK, and SMILE"))
    found = summary(asked, "--failures", told.replace("MARK", r"\x7f").replace("SMILE", r"\U0001f600"))
    assert (found["outcome"], found["reason"]) == ("failed", "train: cut at \\x7f, and \U0001f600")


@pytest.mark.parametrize("told", ['"null"', "[]", '"[]"', ""])
def test_where_argo_tells_of_nothing_that_failed_the_steps_tell(asked: Path, told: str) -> None:
    nexus(asked, "step", "validate", "--params", "@params.json", "--out", "out.json")
    assert summary(asked, "--failures", told)["outcome"] == "refused"


def test_failures_that_argo_would_not_tell_are_bad_input(asked: Path) -> None:
    done = nexus(asked, "summary", "--params", "@params.json", "--failures", '[{"message": "x"}]')
    assert done.returncode == 2
    assert "--failures" in done.stderr


def node(name: str, template: str, message: str) -> dict[str, str]:
    return {"displayName": name, "templateName": template, "message": message, "phase": "Failed"}


def failures(*nodes: dict[str, str]) -> str:
    """As Argo's controller has them."""
    return json.dumps(json.dumps(nodes))


def test_a_dataset_of_a_day_is_that_days(asked: Path) -> None:
    words = ["params", "spec.yaml", "--root", str(ROOT), "--dataset", "s3://chats/{day}.jsonl"]
    done = nexus(asked, *words, "--day", "2026-03-02", "--out", "of-the-day.json")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert json.loads((asked / "of-the-day.json").read_text())["dataset"] == "s3://chats/2026-03-02.jsonl"
    assert nexus(asked, *words).returncode == 2


@pytest.mark.parametrize("spec", ["../chat.yaml", "/etc/passwd", "specs/../../chat.yaml"])
def test_a_file_that_is_not_of_main_is_not_read(asked: Path, spec: str) -> None:
    done = nexus(asked, "params", spec, "--env", "prod", "--from-main")
    assert (done.returncode, done.stdout) == (2, "")
    assert "SPEC" in done.stderr
    assert "name a file of main" in done.stderr


def test_parameters_may_come_from_main_and_then_nothing_here_counts(asked: Path, tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()
    remote = Remote(tmp_path / "house", plant_environments)
    remote.commit({"specs/chat.yaml": (asked / "spec.yaml").read_text()})
    words = ["params", "specs/chat.yaml", "--env", "prod", "--from-main", "--root", "/nowhere"]
    environment = {**os.environ, "NEXUS_REMOTE": str(remote.path)}
    done = subprocess.run([str(BIN / "nexus"), *words], cwd=asked, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == nexus(asked, "params", "spec.yaml", "--env", "prod", "--root", str(ROOT)).stdout
