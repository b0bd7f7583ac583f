"""The two engines that run a release on a cluster, by their HTTP APIs: what to ask, and what an answer means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from nexus_release.frozen import Frozen
from nexus_release.names import Line

State = Literal["running", "stopping", "succeeded", "failed"]


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """What an engine says of a run."""

    id: str
    state: State
    message: str


class Cluster(Frozen):
    connection: Line
    """Airflow's connection: its host is the API's address, its password the bearer token."""
    deadline_seconds: float | None = None
    """From its submission to its end; by default what all steps with all their retries may take."""
    poll_seconds: float = 5.0
    """First pause between two looks; the pauses grow to a minute."""


class Argo(Cluster):
    """Argo Workflows. The template takes the release's parameters as its argument `params`."""

    engine: Literal["argo"]
    namespace: Line
    template: Line
    """A WorkflowTemplate."""

    def find(self, name: str) -> Call:
        fields = "metadata.name,spec.shutdown,status.phase,status.message"  # a workflow's nodes can be megabytes
        return Call("GET", f"{self._workflows}/{name}", query={"fields": fields})

    look = find

    def create(self, name: str, params: str) -> Call:
        options = {"name": name, "parameters": [f"params={params}"]}
        body = {"resourceKind": "WorkflowTemplate", "resourceName": self.template, "submitOptions": options}
        return Call("POST", f"{self._workflows}/submit", {"namespace": self.namespace, **body})

    def again(self, run: str) -> Call:
        """Runs what has failed again, and keeps what has not."""
        return Call("PUT", f"{self._workflows}/{run}/retry", {})

    def stop(self, run: str) -> Call:
        return Call("PUT", f"{self._workflows}/{run}/terminate", {})

    def found(self, answer: Mapping[str, Any]) -> Run | None:
        return self.run(answer)

    def run(self, answer: Mapping[str, Any]) -> Run:
        status = answer.get("status") or {}
        states: Mapping[str, State] = {"Succeeded": "succeeded", "Failed": "failed", "Error": "failed"}
        going: State = "stopping" if (answer.get("spec") or {}).get("shutdown") else "running"
        state = states.get(status.get("phase", ""), going)
        return Run(answer["metadata"]["name"], state, status.get("message", ""))

    @property
    def _workflows(self) -> str:
        return f"/api/v1/workflows/{self.namespace}"


class Kfp(Cluster):
    """Kubeflow Pipelines, v2beta1. The pipeline takes the release's parameters as `params`.

    Its runs are known by ids of its own making, and two may bear one name: a run is looked for by its name first.
    """

    engine: Literal["kfp"]
    pipeline: Line
    """Id of the pipeline."""
    version: Line | None = None
    """Id of its version; by default the newest."""
    experiment: Line | None = None
    """Id of the experiment; by default the default one."""

    def find(self, name: str) -> Call:
        named = {"operation": "EQUALS", "key": "display_name", "string_value": name}
        query = {"filter": json.dumps({"predicates": [named]}), "sort_by": "created_at desc", "page_size": "1"}
        return Call("GET", _RUNS, query=query | self._experiment)

    def look(self, run: str) -> Call:
        return Call("GET", f"{_RUNS}/{run}")

    def create(self, name: str, params: str) -> Call:
        version = {"pipeline_version_id": self.version} if self.version else {}
        body = {
            "display_name": name,
            "pipeline_version_reference": {"pipeline_id": self.pipeline, **version},
            "runtime_config": {"parameters": {"params": params}},
        }
        return Call("POST", _RUNS, body | self._experiment)

    def again(self, run: str) -> Call:
        """Runs what has failed again, and keeps what has not."""
        return Call("POST", f"{_RUNS}/{run}:retry")

    def stop(self, run: str) -> Call:
        return Call("POST", f"{_RUNS}/{run}:terminate")

    def found(self, answer: Mapping[str, Any]) -> Run | None:
        runs = answer.get("runs") or []
        return self.run(runs[0]) if runs else None

    def run(self, answer: Mapping[str, Any]) -> Run:
        states: Mapping[str, State] = {
            "SUCCEEDED": "succeeded",
            "SKIPPED": "succeeded",
            "FAILED": "failed",
            "CANCELED": "failed",
            "CANCELING": "stopping",
        }
        message = (answer.get("error") or {}).get("message", "")
        return Run(answer["run_id"], states.get(answer.get("state", ""), "running"), message)

    @property
    def _experiment(self) -> dict[str, str]:
        return {"experiment_id": self.experiment} if self.experiment else {}


_RUNS = "/apis/v2beta1/runs"
_CLUSTERS: TypeAdapter[Argo | Kfp] = TypeAdapter(Annotated[Argo | Kfp, Field(discriminator="engine")])


def read_cluster(kept: Mapping[str, Any]) -> Argo | Kfp:
    """From what `model_dump` gave."""
    return _CLUSTERS.validate_python(kept)
