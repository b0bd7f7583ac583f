"""A release on Argo Workflows: the rendered YAML is run (tests/support/argo.py), and leaves what a laptop does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nexus_release.graph import NODES

from ..support.argo import Argo
from ..support.argo_rendered import PYTHON, committed, rendered
from ..support.argo_text import Unresolved
from ..support.client import installed
from ..support.releases import plant_environments
from ..support.remotes import Remote
from ..support.repository import ROOT
from .conftest import bad_spec, on_the_laptop, program
from .engines import params, secrets

SYSTEM = os.defpath
IMAGE = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{SYSTEM}"
Object = dict[str, Any]


def asked(spec: Path) -> str:
    """Beside the release file is the remote that is asked what is stable."""
    (spec.parent / "asked").mkdir()
    remote = Remote(spec.parent / "asked", plant_environments)
    return params(spec, ROOT, "dev", {"NEXUS_REMOTE": str(remote.path)})


def argo(folder: Path, objects: Iterable[Object], remote: str = "/nowhere", image: str = IMAGE) -> Argo:
    """Its claim is `folder / work`."""
    (folder / "work").mkdir(exist_ok=True)
    return Argo(objects, folder / "pods", {"nexus-models": folder / "work"}, secrets(remote), image)


def image_with(folder: Path, lines: str) -> str:
    """The PATH of an image whose `nexus` does what the lines say first."""
    (folder / "bin").mkdir()
    program(folder / "bin" / "nexus", lines)
    return f"{folder / 'bin'}{os.pathsep}{IMAGE}"


def summary_of(folder: Path) -> Path:
    (path,) = (folder / "work" / "runs").glob("*/summary.json")
    return path


def reason(folder: Path) -> str:
    summary = json.loads(summary_of(folder).read_bytes())
    assert summary["outcome"] == "failed"
    return str(summary["reason"])


def test_a_refused_release_succeeds_skips_what_follows_and_leaves_the_laptops_summary(tmp_path: Path) -> None:
    spec = bad_spec(tmp_path)
    run = argo(tmp_path, committed()).submit("nexus-release", "refused", params=asked(spec))
    assert (run.phase, run.locks) == ("Succeeded", ["release/chat"])
    phases = {name: run.phases()[name] for name in NODES}
    assert phases.pop("validate") == "Succeeded"
    assert {*phases.values()} == {"Skipped", "Omitted"}
    variables = {"NEXUS_STATE": str(tmp_path / "laptop"), "NEXUS_REMOTE": str(tmp_path / "asked" / "remote.git")}
    laptop = on_the_laptop(spec, ROOT, variables, "dev")
    assert json.loads(laptop.read_bytes())["outcome"] == "refused"
    assert summary_of(tmp_path).read_bytes() == laptop.read_bytes()
    assert json.loads(run.logs["refused.onExit(0)"]) == json.loads(laptop.read_bytes())


def test_braces_in_a_name_are_no_tags_of_argos(tmp_path: Path) -> None:
    spec, data = bad_spec(tmp_path), tmp_path / "{{workflow.name}}{{{=1}}.jsonl"
    (tmp_path / "chat.jsonl").rename(data)
    spec.write_text(json.dumps({"model": "chat", "dataset": str(data)}))
    run = argo(tmp_path, committed()).submit("nexus-release", "braces", params=asked(spec))
    summary = json.loads(summary_of(tmp_path).read_bytes())
    assert (run.phase, summary["outcome"]) == ("Succeeded", "refused")
    assert summary["inputs"]["dataset"] == str(data)


def test_bad_input_is_not_tried_again_and_the_summary_says_what_was_bad(tmp_path: Path) -> None:
    spec = tmp_path / "wrong.yaml"
    spec.write_text(json.dumps({"model": "wrong", "dataset": "gopher://nowhere"}))
    run = argo(tmp_path, committed()).submit("nexus-release", "wrong", params=asked(spec))
    assert (run.phase, run.tries("validate")) == ("Failed", 1)
    assert {run.phases()[name] for name in NODES if name != "validate"} == {"Omitted"}
    assert reason(tmp_path).startswith("validate: Error (exit code 2): nexus: ")
    assert "gopher://nowhere" in reason(tmp_path)


def test_an_error_is_tried_again_until_it_passes(tmp_path: Path) -> None:
    image = image_with(tmp_path, f'[ "$1" != step ] || [ -e {tmp_path}/seen ] || {{ touch {tmp_path}/seen; exit 1; }}')
    run = argo(tmp_path, committed(), image=image).submit("nexus-release", "again", params=asked(bad_spec(tmp_path)))
    assert (run.phase, run.tries("validate")) == ("Succeeded", 2)
    assert json.loads(summary_of(tmp_path).read_bytes())["outcome"] == "refused"


def test_an_error_that_does_not_pass_is_tried_as_often_as_the_step_says(tmp_path: Path) -> None:
    image = image_with(tmp_path, '[ "$1" != step ] || { echo "no room"; exit 1; }')
    run = argo(tmp_path, committed(), image=image).submit("nexus-release", "full", params=asked(bad_spec(tmp_path)))
    assert (run.phase, run.tries("validate")) == ("Failed", NODES["validate"].step.retries + 1)
    assert reason(tmp_path) == "validate: Error (exit code 1): no room"


def test_a_step_that_outlives_its_deadline_is_ended_and_told_of(tmp_path: Path) -> None:
    objects = committed()
    for template in templates(objects):
        if template["name"] == "validate":
            template["activeDeadlineSeconds"] = 1
    image = image_with(tmp_path, '[ "$1" != step ] || exec sleep 300')
    run = argo(tmp_path, objects, image=image).submit("nexus-release", "late", params=asked(bad_spec(tmp_path)))
    assert (run.phase, run.tries("validate")) == ("Failed", NODES["validate"].step.retries + 1)
    assert "deadline" in reason(tmp_path)


def test_a_step_is_told_what_its_pod_names_and_nothing_of_where_it_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXUS_PUSH_REMOTE", "leaked")
    image = image_with(tmp_path, f"env > {tmp_path}/seen-$1")
    argo(tmp_path, committed(), image=image).submit("nexus-release", "told", params=asked(bad_spec(tmp_path)))
    seen = {line.partition("=")[0] for line in (tmp_path / "seen-step").read_text().splitlines()}
    assert seen - {"PWD", "SHLVL", "_", "OLDPWD"} == {"HOME", "NEXUS_WORK", "PATH", "TMPDIR"}


def on_main(folder: Path) -> Remote:
    """A remote whose main holds the environments and `specs/chat.yaml`."""

    def fill(clone: Path) -> None:
        plant_environments(clone)
        (clone / "specs").mkdir()
        bad_spec(folder).rename(clone / "specs" / "chat.yaml")

    (folder / "house").mkdir()
    return Remote(folder / "house", fill)


def test_the_clock_releases_what_the_file_on_main_asks_for_of_the_day(tmp_path: Path) -> None:
    remote = on_main(tmp_path)
    today = datetime.now(UTC).date()
    for day in (today, today + timedelta(days=1)):  # it may be midnight before the run asks
        (tmp_path / f"{day}.jsonl").write_text("no JSON\n")
    entry = {"spec": "specs/chat.yaml", "environment": "local", "schedule": "0 3 * * 1"}
    objects = rendered(remote.clone, "local", json.dumps([{**entry, "dataset": f"{tmp_path}/{{day}}.jsonl"}]))
    run = argo(tmp_path, objects, str(remote.path)).tick("release-chat", "monday")
    assert (run.phase, run.phases()["ask"]) == ("Succeeded", "Succeeded"), run.logs
    summary = json.loads(summary_of(tmp_path).read_bytes())
    assert summary["outcome"] == "refused"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d\.jsonl", Path(summary["inputs"]["dataset"]).name)


def test_two_entries_of_one_model_are_refused(tmp_path: Path) -> None:
    remote = on_main(tmp_path)
    entry = {"spec": "specs/chat.yaml", "environment": "local", "schedule": "0 3 * * 1"}
    with pytest.raises(AssertionError, match="is refused: one entry of local releases chat already"):
        rendered(remote.clone, "local", json.dumps([entry, {**entry, "schedule": "0 3 * * 4"}]))


@pytest.mark.parametrize("schedule", ["not a cron", "0 3 * *", "0 3 * * 1 2026", "@whenever", ""])
def test_a_schedule_that_is_none_is_refused_by_its_field(tmp_path: Path, schedule: str) -> None:
    entry = {"spec": "specs/chat.yaml", "environment": "local", "schedule": schedule}
    with pytest.raises(AssertionError, match="schedule"):
        rendered(on_main(tmp_path).clone, "local", json.dumps([entry]))


def test_a_release_file_that_is_not_on_main_fails_the_run_that_asks_for_it(tmp_path: Path) -> None:
    cluster = argo(tmp_path, committed(), str(on_main(tmp_path).path))
    run = cluster.submit("nexus-release-of-a-file", "none", spec="specs/none.yaml")
    assert (run.phase, run.tries("ask"), run.phases()["release"]) == ("Failed", 2, "Omitted")
    assert "specs/none.yaml: no such release file" in run.logs["ask(0)"]


def test_a_secret_that_is_not_there_is_missed(tmp_path: Path) -> None:
    cluster = argo(tmp_path, committed())
    cluster.secrets = {}
    with pytest.raises(KeyError, match="nexus-git"):
        cluster.submit("nexus-release-of-a-file", "none", spec="specs/chat.yaml")


def test_what_renders_is_typed_where_hera_is_installed() -> None:
    installed(PYTHON, "setup-hera")
    words = ["-m", "mypy", "--cache-dir=.mypy_cache/hera", "--python-executable", str(PYTHON), "-p", "nexus_hera"]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_what_is_committed_is_what_the_graph_and_the_settings_give(tmp_path: Path) -> None:
    installed(PYTHON, "setup-hera")
    script = ROOT / "workflows" / "release_hera.py"
    done = subprocess.run([PYTHON, script, "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"daemon": True}, "not understood: ['daemon']"),
        ({"inputs": {"artifacts": []}}, "not understood: ['artifacts']"),
        ({"volumes": [{"name": "work", "hostPath": {"path": "/"}}]}, "not understood: ['hostPath']"),
    ],
    ids=["a key of a template", "a kind of input", "a kind of volume"],
)
def test_what_the_interpreter_does_not_know_is_refused(tmp_path: Path, change: Object, refusal: str) -> None:
    objects = committed()
    for template in templates(objects):
        if template["name"] == "validate":
            template.update(change)
    with pytest.raises(AssertionError, match=re.escape(refusal)):
        argo(tmp_path, objects).submit("nexus-release", "odd", params=asked(bad_spec(tmp_path)))


def test_a_variable_that_nobody_gives_a_value_is_refused(tmp_path: Path) -> None:
    objects = committed()
    for template in templates(objects):
        if template["name"] == "validate":
            template["container"]["args"].append("{{tasks.train.outputs.parameters.accepted}}")
    with pytest.raises(Unresolved, match=r"tasks\.train\.outputs\.parameters\.accepted"):
        argo(tmp_path, objects).submit("nexus-release", "odd", params=asked(bad_spec(tmp_path)))


def templates(objects: Iterable[Object]) -> list[Object]:
    return [template for one in objects for template in one.get("spec", {}).get("templates", [])]
