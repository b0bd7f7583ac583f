"""A release on a cluster, as Airflow submits and follows it. The cluster is a double (tests/support/clusters.py)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nexus_release.names import model_slug

from ..support.airflow_home import AirflowHome
from ..support.clusters import TOKEN, Clusters
from .conftest import bad_spec

TEMPLATES = ("good", "bad", "drops", "lost", "invalid", "nowhere")
DATE = "2026-03-02T03:00:00+00:00"


def connection(clusters: Clusters, token: str = TOKEN) -> str:
    return json.dumps({"conn_type": "http", "host": clusters.url, "password": token})


def cluster(engine: str, template: str, **more: Any) -> dict[str, Any]:
    named = {"namespace": "nexus", "template": template} if engine == "argo" else {"pipeline": template}
    return {"engine": engine, "connection": "nexus_cluster", "poll_seconds": 0.05, **named, **more}


@dataclass(frozen=True)
class Released:
    clusters: Clusters
    runs: Mapping[str, Any]
    """`<engine> <template>` -> how the DAG's run ended."""


@pytest.fixture(scope="module", params=["argo", "kfp"])
def released(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, airflow_database: Path
) -> Iterator[Released]:
    """A run for each way that a run on the cluster can go, on one Airflow, that needs eight seconds to begin."""
    folder, double = tmp_path_factory.mktemp(f"on-{request.param}"), Clusters()
    entries = [
        {"spec": str(bad_spec(folder, one)), "environment": "prod", "cluster": cluster(request.param, one)}
        for one in TEMPLATES
    ]
    home = AirflowHome(folder, entries, {"AIRFLOW_CONN_NEXUS_CLUSTER": connection(double)}).migrated(airflow_database)
    told = home.dag_tests(*({"dag": f"release-{model_slug(one)}-prod", "date": DATE} for one in TEMPLATES))
    yield Released(double, dict(zip(TEMPLATES, told, strict=True)))
    double.stop()
    shutil.rmtree(folder)


def test_a_run_is_submitted_and_followed_to_its_end(released: Released) -> None:
    run = released.clusters.run_of("good")
    assert released.runs["good"]["state"] == "success"
    assert run.calls["submitted"] == 1
    assert run.calls["looked at"] >= 2
    assert json.loads(run.params)["model"] == "good"


def test_only_the_runs_id_is_handed_on(released: Released) -> None:
    run = released.clusters.run_of("good")
    assert released.runs["good"]["xcoms"] == {"release run": run.id, "release return_value": run.id}


def test_a_lost_connection_and_a_busy_server_are_outlived(released: Released) -> None:
    assert released.runs["drops"]["state"] == "success"
    assert released.runs["drops"]["tries"] == {"release": 1}
    assert released.clusters.run_of("drops").calls["looked at"] > 3


def test_a_submission_whose_answer_is_lost_makes_no_second_run(released: Released) -> None:
    assert (released.runs["lost"]["state"], released.runs["lost"]["tries"]) == ("success", {"release": 2})
    assert released.clusters.run_of("lost").calls["submitted"] == 1


def test_a_run_that_has_failed_fails_the_task_and_is_not_tried_again(released: Released) -> None:
    assert (released.runs["bad"]["state"], released.runs["bad"]["tries"]) == ("failed", {"release": 1})
    assert released.clusters.run_of("bad").calls["started again"] == 0


@pytest.mark.parametrize("template", ["invalid", "nowhere"])
def test_a_refused_submission_is_not_tried_again(released: Released, template: str) -> None:
    assert (released.runs[template]["state"], released.runs[template]["tries"]) == ("failed", {"release": 1})
    assert not [run for run in released.clusters.runs.values() if run.template == template]


@dataclass(frozen=True)
class Followed:
    clusters: Clusters
    events: Mapping[str, list[dict[str, str]]]

    def states(self, case: str) -> list[str]:
        return [event["state"] for event in self.events[case]]


@pytest.fixture(scope="module", params=["argo", "kfp"])
def followed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    double, engine = Clusters(), request.param
    stranger = cluster(engine, "good", connection="nexus_stranger")
    cases: dict[str, dict[str, Any]] = {
        "restarted": {"cluster": cluster(engine, "long"), "name": "restarted", "then": ["die"]},
        "overdue": {"cluster": cluster(engine, "slow"), "name": "overdue", "seconds": 1, "then": [""]},
        "marked": {"cluster": cluster(engine, "good", poll_seconds=3), "name": "marked", "then": ["kill"]},
        "cleared": {"cluster": cluster(engine, "bad"), "name": "cleared", "then": ["", "", ""]},
        "raced": {"cluster": cluster(engine, "raced"), "name": "raced", "then": ["", ""]},
        "stranger": {"cluster": stranger, "name": "stranger", "then": ["unsubmitted"]},
        "removed": {"cluster": cluster(engine, "good"), "name": "removed", "then": ["unsubmitted"]},
    }
    variables = {
        "AIRFLOW_CONN_NEXUS_CLUSTER": connection(double),
        "AIRFLOW_CONN_NEXUS_STRANGER": connection(double, "another-token"),
    }
    home = AirflowHome(tmp_path_factory.mktemp(f"followed-{engine}"), [], variables)
    told = home.told("follow.py", [{"seconds": 60, **case} for case in cases.values()])
    yield Followed(double, dict(zip(cases, told, strict=True)))
    double.stop()


def test_another_triggerer_goes_on_where_one_has_died(followed: Followed) -> None:
    assert followed.states("restarted") == ["succeeded"]
    run = followed.clusters.run_of("long")
    assert (run.calls["submitted"], run.calls["stopped"]) == (1, 0)
    assert run.calls["looked at"] > 10


def test_a_run_that_is_overdue_is_told_to_stop(followed: Followed) -> None:
    assert followed.states("overdue") == ["overdue"]
    assert followed.clusters.run_of("slow").calls["stopped"] == 1


def test_a_run_whose_task_a_person_marks_is_told_to_stop(followed: Followed) -> None:
    (run,) = (run for run in followed.clusters.runs.values() if run.name == "marked")
    assert run.calls["stopped"] == 1
    assert followed.states("marked") == ["failed"]


def test_a_failed_run_that_is_cleared_goes_on_and_one_that_is_done_stays_so(followed: Followed) -> None:
    assert followed.states("cleared") == ["failed", "succeeded", "succeeded"]
    run = followed.clusters.run_of("bad")
    assert (run.calls["submitted"], run.calls["started again"]) == (1, 1)


def test_a_name_that_is_taken_meanwhile_is_followed(followed: Followed) -> None:
    assert followed.states("raced") == ["succeeded", "succeeded"]
    run = followed.clusters.run_of("raced")
    assert run.calls["submitted"] == 1
    assert run.calls["hidden"] == (1 if run.id == run.name else 0)  # KFP is asked by name, and has no such race


@pytest.mark.parametrize(("case", "status"), [("stranger", "401"), ("removed", "404")])
def test_what_the_cluster_refuses_to_tell_ends_the_following(followed: Followed, case: str, status: str) -> None:
    (event,) = followed.events[case]
    assert event["state"] == "refused"
    assert status in event["message"]
