"""A release as one run on a cluster: submitted once, and followed without a worker."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, BaseHook, BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from nexus_airflow.asking import asked
from nexus_airflow.cluster_api import Refused, Unanswered, address_of, submitted
from nexus_airflow.cluster_trigger import ClusterRunTrigger
from nexus_airflow.clusters import Argo, Kfp, Run
from nexus_airflow.releases import Entry
from nexus_release.names import model_slug

_MARK = 10  # hex digits


class ClusterRelease(BaseOperator):
    """Gives the run's id. Its name follows from the DAG's run, so that no try and no clear makes a second one.

    The engine tries steps again, and not this task: a run that has failed fails it. Where the task is cleared then,
    the same run goes on with what has failed.
    """

    def __init__(
        self, *, entry: Entry, cluster: Argo | Kfp, root: Path, drift: Asset, longest_seconds: float, **of_task: Any
    ) -> None:
        super().__init__(**of_task)
        self.entry, self.cluster, self.root, self.drift = entry, cluster, root, drift
        self.deadline_seconds = cluster.deadline_seconds or longest_seconds

    def execute(self, context: Context) -> str:
        run = self._submitted(context)
        context["ti"].xcom_push("run", run.id)
        if run.state != "succeeded":
            trigger = ClusterRunTrigger(self.cluster.model_dump(), run.id, time.time() + self.deadline_seconds)
            self.defer(trigger=trigger, method_name="ended")
        return run.id

    def ended(self, _: Context, event: Mapping[str, str]) -> str:
        """Where the triggerer gives the run back."""
        if event["state"] != "succeeded":
            raise AirflowFailException(f"{event['run']}: {event['state']}: {event['message']}")
        return event["run"]

    def _submitted(self, context: Context) -> Run:
        params = asked(self, context, self.entry, self.root, self.drift)
        address = address_of(BaseHook.get_connection(self.cluster.connection))
        try:
            return asyncio.run(submitted(self.cluster, address, _name(params, context), params))
        except Refused as error:
            raise AirflowFailException(str(error)) from None
        except Unanswered as error:
            raise AirflowException(str(error)) from None


def _name(params: str, context: Context) -> str:
    """A DNS label."""
    run = context["dag_run"]
    mark = hashlib.sha256(f"{run.dag_id}\0{run.run_id}".encode()).hexdigest()[:_MARK]
    return f"{model_slug(json.loads(params)['model'])}-{mark}"
