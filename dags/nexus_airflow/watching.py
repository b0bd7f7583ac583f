"""An entry of watches.yaml as a DAG of one task, which runs `nexus` as a person would."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, BaseOperator, Context, CronTriggerTimetable
from airflow.sdk.exceptions import AirflowSkipException

from nexus_airflow.asking import told
from nexus_airflow.watches import Watch
from nexus_release.names import model_slug

_LONGEST = timedelta(minutes=30)


def watching_dag(watch: Watch, root: Path) -> DAG:
    """One look at a time; what was missed while Airflow was down is not made up for."""
    with DAG(
        dag_id=f"{watch.watch}-{model_slug(watch.model)}-{watch.environment}",
        description=f"Look at the {watch.watch} of {watch.model} in {watch.environment}",
        schedule=CronTriggerTimetable(watch.schedule, timezone="UTC"),
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=_LONGEST,
        tags=["nexus", watch.environment],
    ) as dag:
        if watch.watch == "canary":
            StepCanary(task_id="step", watch=watch, root=root, retries=1)
        else:
            drift = Asset(name=f"drift/{watch.model}", uri=f"nexus://drift/{watch.model}")
            LookForDrift(task_id="look", watch=watch, root=root, drift=drift, retries=1)
    return dag


class StepCanary(BaseOperator):
    """Gives what it has told. Fails where no figures are there: then nothing has changed."""

    def __init__(self, *, watch: Watch, root: Path, **of_task: Any) -> None:
        super().__init__(**of_task)
        self.watch, self.root = watch, root

    def execute(self, context: Context) -> str:
        return told(self.root, "canary", "step", self.watch.model, "--env", self.watch.environment, "--json")


class LookForDrift(BaseOperator):
    """Its success is the event of drift, which starts the release; where none is due it is skipped."""

    def __init__(self, *, watch: Watch, root: Path, drift: Asset, **of_task: Any) -> None:
        super().__init__(outlets=[drift], **of_task)
        self.watch, self.root, self.drift = watch, root, drift

    def execute(self, context: Context) -> str:
        with tempfile.TemporaryDirectory(prefix="nexus-drift-") as flags:
            words = ["--env", self.watch.environment, "--decisions", self.watch.decisions, "--root", str(self.root)]
            said = told(self.root, "drift", self.watch.model, *words, "--flags", flags, "--json")
            due = Path(flags, "due").read_text() == "true"
        self.log.info("%s", said)
        if not due:
            raise AirflowSkipException("no release is due")
        report = json.loads(said)["verdict"]["report"]
        context["outlet_events"][self.drift].extra = {"report": report}
        return str(report)
