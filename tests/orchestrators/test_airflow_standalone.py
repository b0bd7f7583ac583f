"""A real Airflow: scheduler, triggerer, DAG processor and API server, with the clock and drift that start releases."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from nexus_release.adapters.airflow import AirflowEvents
from nexus_release.errors import Missing, NexusError, Unreachable
from nexus_release.local.free_ports import free_port

from ..support.airflow_home import BIN, AirflowHome
from ..support.clusters import TOKEN, Clusters
from ..support.gateway import until
from ..support.traffic import at
from ..support.watched import DRIFT, QUIET, House
from .conftest import bad_spec

pytestmark = pytest.mark.services
DAYS = ("2026-03-02", "2026-03-03")
_START_SECONDS = 150
_RUN_SECONDS = 120
_END_SECONDS = 20
_LOST_AFTER = "6"  # seconds without a heartbeat after which a triggerer counts as dead


class Standalone:
    """`airflow standalone` in a session of its own, asked over its REST API."""

    def __init__(self, home: AirflowHome) -> None:
        self.home, port = home, free_port()
        self.url, self.token = f"http://127.0.0.1:{port}", ""
        home.environment |= {
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": _LOST_AFTER,
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        }
        self._client, self._started = httpx.Client(base_url=self.url, timeout=30), [self._start("standalone")]

    def wait(self) -> Standalone:
        until(self._healthy, "Airflow is healthy", _START_SECONDS)
        self.token = str(self._client.get("/auth/token").json()["access_token"])
        self._client.headers["authorization"] = f"Bearer {self.token}"
        return self

    def get(self, path: str, **query: str) -> Any:
        return self._client.get(f"/api/v2/{path}", params=query).raise_for_status().json()

    def post(self, path: str, body: Any) -> Any:
        return self._client.post(f"/api/v2/{path}", json=body).raise_for_status().json()

    def unpause(self, dag: str) -> None:
        until(lambda: self._client.get(f"/api/v2/dags/{dag}").is_success, f"{dag} is read", _START_SECONDS)
        self._client.patch(f"/api/v2/dags/{dag}", json={"is_paused": False}).raise_for_status()

    def run(self, dag: str, good: Callable[[Any], bool]) -> Any:
        """The first run of the DAG of which `good` holds."""

        def found() -> Any:
            return next((run for run in self.get(f"dags/{dag}/dagRuns")["dag_runs"] if good(run)), None)

        return until(found, f"a run of {dag}", _RUN_SECONDS)

    def kill_triggerer(self) -> None:
        """And start another."""
        pids = [pid for pid in _descendants(self._started[0].pid) if "triggerer" in _words(pid)]
        assert pids
        for pid in pids:  # it has forked itself
            with _may_have_ended():
                os.kill(pid, signal.SIGKILL)
        self._started.append(self._start("triggerer"))

    def stop(self) -> None:
        """With all that it has started: a SIGTERM to `standalone` alone would leave its children."""
        self._client.close()
        for process in self._started:
            os.killpg(process.pid, signal.SIGTERM)
        for process in self._started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, command: str) -> subprocess.Popen[bytes]:
        with (self.home.folder / f"{command}.log").open("ab") as log:
            words, folder = [str(BIN / "airflow"), command], self.home.folder
            return subprocess.Popen(
                words, cwd=folder, env=self.home.environment, stdout=log, stderr=log, start_new_session=True
            )

    def _healthy(self) -> bool:
        assert self._started[0].poll() is None, (self.home.folder / "standalone.log").read_text()[-4000:]
        try:
            health = self._client.get("/api/v2/monitor/health").json()
        except (httpx.HTTPError, ValueError):
            return False
        parts = ("scheduler", "triggerer", "dag_processor")
        return all(health.get(part, {}).get("status") == "healthy" for part in parts)


def _descendants(pid: int) -> list[int]:
    children: list[int] = []
    with _may_have_ended():
        for one in Path(f"/proc/{pid}/task").glob("*/children"):
            with _may_have_ended():
                children += map(int, one.read_text().split())
    return [*children, *(further for child in children for further in _descendants(child))]


def _words(pid: int) -> list[str]:
    with _may_have_ended():
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return []


def _may_have_ended() -> suppress:
    """Meanwhile, as those do that read a DAG or run a task."""
    return suppress(FileNotFoundError, ProcessLookupError)


@pytest.fixture(scope="module")
def clusters() -> Iterator[Clusters]:
    running = Clusters()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def airflow(
    tmp_path_factory: pytest.TempPathFactory, airflow_database: Path, clusters: Clusters
) -> Iterator[Standalone]:
    folder = tmp_path_factory.mktemp("standalone")
    on_cluster = {"engine": "argo", "connection": "argo", "namespace": "nexus", "template": "slow", "poll_seconds": 0.5}
    entries: list[dict[str, Any]] = [
        {"spec": str(bad_spec(folder, "timed")), "environment": "local", "schedule": "0 0 * * *"},
        {"spec": str(bad_spec(folder, "drifting")), "environment": "local"},
        {"spec": str(bad_spec(folder, "past")), "environment": "local", "schedule": "0 3 * * *"},
        {"spec": str(bad_spec(folder, "slow")), "environment": "prod", "cluster": on_cluster},
    ]
    entries[2]["dataset"] = f"{folder}/{{{{ ds }}}}.jsonl"
    for day in DAYS:
        (folder / f"{day}.jsonl").write_text("no JSON\n")
    connection = json.dumps({"conn_type": "http", "host": clusters.url, "password": TOKEN})
    home = AirflowHome(folder, entries, {"AIRFLOW_CONN_ARGO": connection}).migrated(airflow_database)
    running = Standalone(home)
    try:
        yield running.wait()
    finally:
        running.stop()


def summaries(airflow: Standalone, model: str) -> list[Path]:
    return sorted(Path(airflow.home.environment["NEXUS_STATE"]).glob(f"runs/{model}-*/summary.json"))


def test_the_clock_starts_a_release_and_clearing_it_changes_nothing(airflow: Standalone) -> None:
    airflow.unpause("release-timed-local")
    run = airflow.run("release-timed-local", lambda run: run["state"] == "success")
    assert run["run_type"] == "scheduled"
    (path,) = summaries(airflow, "timed")
    before, (step,) = path.read_bytes(), (path.parents[2] / "steps" / "validate").glob("*.json")
    assert json.loads(before)["outcome"] == "refused"
    found_at = step.stat().st_mtime_ns

    whole = {"dry_run": False, "only_failed": False, "dag_run_id": run["dag_run_id"]}
    airflow.post("dags/release-timed-local/clearTaskInstances", whole)
    again = airflow.run(
        "release-timed-local", lambda one: one["state"] == "success" and one["end_date"] > run["end_date"]
    )
    tries = airflow.get(f"dags/release-timed-local/dagRuns/{again['dag_run_id']}/taskInstances")["task_instances"]
    assert {one["task_id"]: one["try_number"] for one in tries}["validate"] == 2
    assert summaries(airflow, "timed") == [path]
    assert path.read_bytes() == before
    assert step.stat().st_mtime_ns == found_at  # the step has reused what it had found


def test_drift_of_live_traffic_starts_one_release_of_the_dataset_that_it_names(
    airflow: Standalone, tmp_path: Path
) -> None:
    (tmp_path / "fresh.jsonl").write_text("no JSON\n")
    airflow.unpause("release-drifting-local")
    house = House.built(tmp_path, "drifting")
    for day in (*QUIET, *DRIFT[:2]):
        house.look(day)

    def look() -> str:
        words = ("--since", at(DRIFT[2]), "--until", at(DRIFT[3]), "--dataset", str(tmp_path / "fresh.jsonl"), "--json")
        done = house.command(*words, "--airflow", airflow.url, NEXUS_AIRFLOW_TOKEN=airflow.token)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["verdict"]["report"] == told["digest"]
        return str(told["verdict"]["action"])

    assert look() == "send"
    run = airflow.run("release-drifting-local", lambda run: run["state"] == "success")
    assert run["run_type"] == "asset_triggered"
    (path,) = summaries(airflow, "drifting")
    inputs = json.loads(path.read_bytes())["inputs"]
    assert inputs["dataset"] == str(tmp_path / "fresh.jsonl")

    assert look() == "sent"
    (note,) = (house.folder / "state" / "drift").glob("staging/drifting/events/*.json")
    assert json.loads(note.read_bytes())["report"] == inputs["reason"]
    note.unlink()  # as if the look had died after it was sent
    assert look() == "send"
    assert note.exists()
    (asset,) = airflow.get("assets", uri_pattern="nexus://drift/drifting")["assets"]
    (event,) = airflow.get("assets/events", asset_id=str(asset["id"]))["asset_events"]
    assert event["extra"]["report"] == inputs["reason"]


def test_airflow_without_the_token_or_without_the_asset_is_told_of(airflow: Standalone) -> None:
    stranger, known = AirflowEvents(airflow.url, "no token"), AirflowEvents(airflow.url, airflow.token)
    with pytest.raises(NexusError, match="NEXUS_AIRFLOW_TOKEN"):
        stranger.knows("timed", "sha256:0")
    with pytest.raises(Missing, match="nexus://drift/time_"):
        known.knows("time_", "sha256:0")  # to the server it is a pattern that finds `timed`
    with pytest.raises(Unreachable, match="nothing is sent twice"):
        AirflowEvents("http://127.0.0.1:9", "").knows("timed", "sha256:0")


def test_a_backfill_releases_each_days_own_dataset(airflow: Standalone) -> None:
    airflow.unpause("release-past-local")
    dates = {"from_date": f"{DAYS[0]}T00:00:00Z", "to_date": f"{DAYS[1]}T23:00:00Z"}
    airflow.post("backfills", {"dag_id": "release-past-local", "max_active_runs": 1, **dates})
    for day in DAYS:
        run = airflow.run(
            "release-past-local", lambda run, day=day: run["state"] == "success" and run["logical_date"][:10] == day
        )  # fmt: skip
        assert run["run_type"] == "backfill"
    datasets = [json.loads(path.read_bytes())["inputs"]["dataset"] for path in summaries(airflow, "past")]
    assert {Path(dataset).stem for dataset in datasets} >= {*DAYS}


def test_a_run_on_a_cluster_is_followed_by_another_triggerer_when_one_dies(
    airflow: Standalone, clusters: Clusters
) -> None:
    airflow.unpause("release-slow-prod")
    airflow.post("dags/release-slow-prod/dagRuns", {"logical_date": None})
    until(lambda: clusters.runs and clusters.run_of("slow").calls["looked at"] > 1, "the triggerer looks", _RUN_SECONDS)
    airflow.kill_triggerer()
    looks = clusters.run_of("slow").calls["looked at"]
    until(lambda: clusters.run_of("slow").calls["looked at"] > looks + 1, "another triggerer looks", _RUN_SECONDS)
    clusters.finish("slow")
    run = airflow.run("release-slow-prod", lambda run: run["state"] != "running" and run["state"] != "queued")
    assert run["state"] == "success"
    calls = clusters.run_of("slow").calls
    assert (calls["submitted"], calls["stopped"]) == (1, 0)
