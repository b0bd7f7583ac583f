"""A release on Airflow: what its DAGs are, and that they leave what a laptop leaves, however a release goes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nexus_release.graph import NODES, waits_for

from ..support.airflow_home import BIN, AirflowHome
from ..support.client import installed
from ..support.gateway import until
from ..support.repository import ROOT
from .conftest import MakeHome, bad_spec, on_the_laptop, program

HEAVY = {"ctranslate2", "datasets", "mlflow", "numpy", "pandas", "torch", "transformers"}


def summary_of(home: AirflowHome, model: str = "chat") -> Path:
    (path,) = Path(home.environment["NEXUS_STATE"]).glob(f"runs/{model}-*/summary.json")
    return path


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of the repository's own folder of DAGs, and its own releases.yaml."""
    home = AirflowHome(tmp_path_factory.mktemp("facts"), [], {"AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags")})
    found: dict[str, Any] = home.told("dag_facts.py")
    return found


def test_the_dags_are_read_without_an_error_and_without_a_heavy_library(facts: dict[str, Any]) -> None:
    assert facts["errors"] == []
    assert not {*facts["imported"]} & HEAVY
    assert {*facts["dags"]} == {f"{what}-pydoc-chat-local" for what in ("release", "canary", "drift")}


def test_canaries_and_drift_have_their_clocks_and_drift_starts_the_release(facts: dict[str, Any]) -> None:
    canary, drift = (facts["dags"][f"{what}-pydoc-chat-local"] for what in ("canary", "drift"))
    assert (canary["cron"], canary["runs"], canary["catchup"]) == ("*/10 * * * *", 1, False)
    assert (drift["cron"], drift["runs"], drift["catchup"]) == ("30 4 * * *", 1, False)
    assert drift["tasks"]["look"]["outlets"] == [facts["dags"]["release-pydoc-chat-local"]["drift"]]
    assert canary["tasks"]["step"]["outlets"] == []


def test_each_step_is_a_task_that_waits_for_what_it_reads(facts: dict[str, Any]) -> None:
    tasks = facts["dags"]["release-pydoc-chat-local"]["tasks"]
    assert {*tasks} == {"ask", *NODES, "summary"}
    assert {name: tasks[name]["after"] for name in NODES} == {
        name: sorted(waits_for(node)) or ["ask"] for name, node in NODES.items()
    }
    assert tasks["summary"]["after"] == sorted({"ask", *NODES})
    assert tasks["summary"]["rule"] == "TriggerRule.ALL_DONE"


def test_retries_and_deadlines_are_the_steps_own(facts: dict[str, Any]) -> None:
    dag = facts["dags"]["release-pydoc-chat-local"]
    assert {name: (dag["tasks"][name]["retries"], dag["tasks"][name]["seconds"]) for name in NODES} == {
        name: (node.step.retries, node.step.timeout_seconds) for name, node in NODES.items()
    }
    assert dag["seconds"] == sum(node.step.timeout_seconds * (node.step.retries + 1) for node in NODES.values())


def test_a_release_is_started_by_the_clock_or_by_drift_one_at_a_time(facts: dict[str, Any]) -> None:
    dag = facts["dags"]["release-pydoc-chat-local"]
    assert (dag["cron"], dag["drift"]) == ("0 3 * * 1", "nexus://drift/pydoc-chat")
    assert (dag["catchup"], dag["runs"]) == (False, 1)


def test_an_entry_with_a_fault_is_an_import_error_that_names_the_field(airflow: MakeHome, tmp_path: Path) -> None:
    home = airflow({"spec": str(bad_spec(tmp_path)), "environment": "local", "cron": "0 3 * * 1"})
    (error,) = home.told("dag_facts.py")["errors"]
    assert "releases.yaml" in error
    assert "cron" in error


def test_the_tasks_are_typed_where_airflow_is_installed() -> None:
    installed(BIN / "airflow", "setup-airflow")
    words = ["--cache-dir=.mypy_cache/airflow", "--python-executable", str(BIN / "python"), "-p", "nexus_airflow"]
    done = subprocess.run([sys.executable, "-m", "mypy", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@dataclass(frozen=True)
class Ended:
    """Runs of three DAGs on one Airflow, by what each is to show."""

    folder: Path
    home: AirflowHome
    runs: Mapping[str, Any]

    def summary(self, model: str) -> Path:
        return summary_of(self.home, model)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, airflow_database: Path) -> Ended:
    """One process for all, since Airflow needs eight seconds to begin."""
    folder = tmp_path_factory.mktemp("ended")
    specs = {model: bad_spec(folder, model) for model in ("chat", "daily", "wrong")}
    specs["wrong"].write_text(json.dumps({"model": "wrong", "dataset": "gopher://nowhere"}))
    for name in ("2026-03-02", "given"):
        (folder / f"{name}.jsonl").write_text("no JSON\n")
    entries: list[dict[str, str]] = [{"spec": str(path), "environment": "local"} for path in specs.values()]
    entries[1]["dataset"] = f"{folder}/{{{{ ds }}}}.jsonl"
    home = AirflowHome(folder, entries, {}).migrated(airflow_database)
    cases: dict[str, dict[str, Any]] = {
        "refused": {"dag": "release-chat-local"},
        "of a day": {"dag": "release-daily-local", "date": "2026-03-02T03:00:00+00:00"},
        "undated": {"dag": "release-daily-local", "date": None},
        # the last of its DAG: in one process `dag.test` lets what was given once stand
        "given": {"dag": "release-daily-local", "conf": {"dataset": f"{folder}/given.jsonl"}},
        "wrong": {"dag": "release-wrong-local"},
    }
    return Ended(folder, home, dict(zip(cases, home.dag_tests(*cases.values()), strict=True)))


def test_a_refused_release_is_a_good_run_and_what_follows_is_skipped(ended: Ended) -> None:
    run = ended.runs["refused"]
    assert run["state"] == "success"
    assert {name for name, state in run["tasks"].items() if state == "success"} == {"ask", "validate", "summary"}
    assert {name for name, state in run["tasks"].items() if state == "skipped"} == {*NODES} - {"validate"}


def test_a_refused_release_leaves_the_laptops_summary(ended: Ended) -> None:
    laptop = on_the_laptop(ended.folder / "chat.yaml", ROOT, {"NEXUS_STATE": str(ended.folder / "laptop")})
    assert json.loads(laptop.read_bytes())["outcome"] == "refused"
    assert ended.summary("chat").read_bytes() == laptop.read_bytes()


def test_tasks_hand_on_digests_and_paths_and_nothing_else(ended: Ended) -> None:
    xcoms = ended.runs["refused"]["xcoms"]
    assert xcoms.keys() == {"ask return_value", "validate return_value", "summary return_value"}
    assert xcoms["summary return_value"] == str(ended.summary("chat"))
    assert all(str(xcoms[f"{task} return_value"]).startswith("sha256:") for task in ("ask", "validate"))


def test_the_dataset_is_the_days_own_or_the_one_that_a_person_gives(ended: Ended) -> None:
    summaries = [*Path(ended.home.environment["NEXUS_STATE"]).glob("runs/daily-*/summary.json")]
    datasets = {json.loads(path.read_bytes())["inputs"]["dataset"] for path in summaries}
    assert datasets == {f"{ended.folder}/2026-03-02.jsonl", f"{ended.folder}/given.jsonl"}


def test_a_run_without_a_date_or_a_dataset_of_its_own_fails_at_once(ended: Ended) -> None:
    run = ended.runs["undated"]
    assert (run["state"], run["tasks"]["ask"], run["tries"]["ask"]) == ("failed", "failed", 1)
    assert run["tasks"]["summary"] == "failed"


def test_bad_input_is_not_tried_again_and_the_run_has_failed(ended: Ended) -> None:
    run = ended.runs["wrong"]
    assert (run["state"], run["tasks"]["validate"], run["tries"]["validate"]) == ("failed", "failed", 1)
    assert run["tasks"]["train"] == "upstream_failed"
    summary = json.loads(ended.summary("wrong").read_bytes())
    assert summary["outcome"] == "failed"
    assert summary["reason"].startswith("validate: nexus: ")


def test_an_error_is_tried_again_and_airflows_secrets_stay_its_own(airflow: MakeHome, tmp_path: Path) -> None:
    fails_once = f'[ "$1" != step ] || [ -e {tmp_path}/seen ] || {{ env > {tmp_path}/seen; exit 1; }}'
    home = airflow(
        {"spec": str(bad_spec(tmp_path)), "environment": "local"},
        NEXUS_BIN=str(program(tmp_path / "nexus", fails_once)),
        AIRFLOW__CORE__FERNET_KEY="secret",
    )
    (run,) = home.dag_tests({"dag": "release-chat-local"})
    assert (run["state"], run["tasks"]["validate"], run["tries"]["validate"]) == ("success", "success", 2)
    seen = (tmp_path / "seen").read_text()
    assert "NEXUS_STATE" in seen
    assert "AIRFLOW" not in seen


def test_a_step_that_outlives_its_deadline_is_ended_and_told_of(airflow: MakeHome, tmp_path: Path) -> None:
    sleeps = program(tmp_path / "nexus", f'[ "$1" != step ] || {{ echo $$ >> {tmp_path}/pids; exec sleep 300; }}')
    home = airflow({"spec": str(bad_spec(tmp_path)), "environment": "local"}, NEXUS_BIN=str(sleeps))
    (run,) = home.dag_tests({"dag": "release-chat-local", "timeout": 5})  # in which each writes its number
    assert (run["state"], run["tasks"]["validate"]) == ("failed", "failed")
    pids = (tmp_path / "pids").read_text().split()
    assert len(pids) == NODES["validate"].step.retries + 1
    until(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()], "each has ended")
    assert json.loads(summary_of(home).read_bytes())["reason"].startswith("validate: it was stopped")
