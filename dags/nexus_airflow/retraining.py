"""An entry of releases.yaml as a DAG: the steps of `graph.py`, a task each, or one run on a cluster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, CronTriggerTimetable, Param, TriggerRule

from nexus_airflow.cluster_task import ClusterRelease
from nexus_airflow.releases import Entry
from nexus_airflow.tasks import Ask, ReleaseStep, Summarize
from nexus_release.graph import NODES, waits_for
from nexus_release.names import model_slug
from nexus_release.spec import read_spec

_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(minutes=10)
_LONGEST_SECONDS = sum(node.step.timeout_seconds * (node.step.retries + 1) for node in NODES.values())


def retraining_dag(entry: Entry, root: Path) -> DAG:
    """One run at a time, whatever started it; what was missed while Airflow was down is not made up for."""
    model = read_spec(root / entry.spec).model
    drift = Asset(name=f"drift/{model}", uri=f"nexus://drift/{model}")
    with DAG(
        dag_id=f"release-{model_slug(model)}-{entry.environment}",
        description=f"Release {model} for {entry.environment}",
        schedule=_schedule(entry, drift),
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(seconds=_LONGEST_SECONDS),
        default_args={
            "retry_delay": _FIRST_PAUSE,
            "retry_exponential_backoff": True,
            "max_retry_delay": _LONGEST_PAUSE,
        },
        params={"dataset": Param(None, type=["null", "string"], description="URI that stands in for the dataset.")},
        tags=["nexus", entry.environment],
    ) as dag:
        if entry.cluster:
            ClusterRelease(
                task_id="release",
                entry=entry,
                cluster=entry.cluster,
                root=root,
                drift=drift,
                longest_seconds=_LONGEST_SECONDS,
                retries=3,
            )
        else:
            _lay_steps(entry, root, drift)
    return dag


def _schedule(entry: Entry, drift: Asset) -> AssetOrTimeSchedule | Asset:
    if entry.schedule is None:
        return drift
    return AssetOrTimeSchedule(timetable=CronTriggerTimetable(entry.schedule, timezone="UTC"), assets=drift)


def _lay_steps(entry: Entry, root: Path, drift: Asset) -> None:
    ask = Ask(task_id="ask", entry=entry, root=root, drift=drift, retries=1)
    laid: dict[str, ReleaseStep] = {}
    for name, node in NODES.items():
        laid[name] = ReleaseStep(
            task_id=name,
            guards=node.when,
            root=root,
            retries=node.step.retries,
            execution_timeout=timedelta(seconds=node.step.timeout_seconds),
        )
        laid[name].set_upstream([laid[earlier] for earlier in sorted(waits_for(node))] or ask)
    end = Summarize(task_id="summary", root=root, trigger_rule=TriggerRule.ALL_DONE, retries=1)
    end.set_upstream([ask, *laid.values()])
