"""What a person sees of a release in MLflow: a run with parameters, dataset and measurements, and a LoggedModel.

The LoggedModel is external: the weights stay in the store, MLflow holds what is known of them. Every value is the same
each time, so that filling anew what a dead process left changes nothing.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus_release.adapters.mlflow_calls import unless_there
from nexus_release.errors import Missing
from nexus_release.names import service_name
from nexus_release.ports import RegistryEntry

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

_DATASET_DIGEST_LIMIT = 36  # characters, by MLflow's schema; the whole digest is in the tag


@dataclass(frozen=True)
class Surroundings:
    """Where an orchestrator has begun to keep what its run does; both empty where none has."""

    experiment: str = ""
    """MLFLOW_EXPERIMENT_ID."""
    run: str = ""
    """MLFLOW_RUN_ID: ours becomes its child, so that no second run stands at the top."""


@dataclass(frozen=True)
class Evidence:
    run: str
    logged_model: str


def keep(client: MlflowClient, entry: RegistryEntry, around: Surroundings) -> Evidence:
    """Raises Missing for a run that MLFLOW_RUN_ID names and MLflow does not have."""
    from mlflow.entities import LoggedModelOutput

    parent = _parent(client, around)
    experiment = around.experiment or (parent.info.experiment_id if parent else _experiment(client, entry.model))
    run = _run(client, entry, experiment, parent)
    model = _logged_model(client, entry, run)
    _measure(client, entry, run, model.model_id)
    client.log_text(run.info.run_id, entry.content, "content.json")
    outputs = run.outputs.model_outputs if run.outputs else []
    if model.model_id not in {output.model_id for output in outputs}:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])
    return Evidence(run.info.run_id, model.model_id)


def tags_of(entry: RegistryEntry) -> dict[str, Any]:
    """Of the run, of the LoggedModel and of the version alike, so that each can be found from any other."""
    return {
        "nexus.model": entry.model,
        "nexus.release": entry.release,
        "nexus.artifact": entry.artifact_digest,
        "nexus.artifact_uri": entry.artifact_uri,
        "nexus.dataset": entry.dataset_digest,
    }


def _parent(client: MlflowClient, around: Surroundings) -> Run | None:
    from mlflow.exceptions import MlflowException

    if not around.run:
        return None
    try:
        return client.get_run(around.run)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise Missing(
            f"MLFLOW_RUN_ID: MLflow has no run {around.run}; name a run of this server, or unset it"
        ) from None


def _experiment(client: MlflowClient, model: str) -> str:
    found = client.get_experiment_by_name(model)
    if found is None:
        unless_there(lambda: client.create_experiment(model))
        found = client.get_experiment_by_name(model)
    return str(found.experiment_id)


def _run(client: MlflowClient, entry: RegistryEntry, experiment: str, parent: Run | None) -> Run:
    """The earliest of this release, else a new one. Looked for in the model's own experiment too: the release may have
    been made without an orchestrator before."""
    own = client.get_experiment_by_name(entry.model)
    kept = client.search_runs(
        sorted({experiment, *([own.experiment_id] if own else [])}),
        f"tags.`nexus.release` = '{entry.release}'",
        order_by=["attributes.start_time ASC"],
        max_results=1,
    )
    if kept:
        return kept[0]
    above = {"mlflow.parentRunId": parent.info.run_id} if parent else {}
    shown = {"mlflow.source.name": "nexus release", "mlflow.source.type": "JOB"}
    return client.create_run(experiment, tags={**tags_of(entry), **shown, **above}, run_name=entry.release[:12])


def _logged_model(client: MlflowClient, entry: RegistryEntry, run: Run) -> LoggedModel:
    """As `mlflow.create_external_model` makes one, by this client and not by the process's own tracking URI."""
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_IS_EXTERNAL

    experiment = run.info.experiment_id
    kept = client.search_logged_models(
        [experiment],
        f"tags.`nexus.release` = '{entry.release}'",
        order_by=[{"field_name": "creation_timestamp", "ascending": True}],
        max_results=1,
    )
    model = (
        kept[0]
        if kept
        else client.create_logged_model(
            experiment,
            name=service_name(entry.model, entry.release),  # as its InferenceService is called
            source_run_id=run.info.run_id,
            tags={**tags_of(entry), MLFLOW_MODEL_IS_EXTERNAL: "true"},
            params=dict(entry.parameters),
            model_type="llm",
        )
    )
    if model.status != "READY":
        _describe(client, model)
    return model


def _describe(client: MlflowClient, model: LoggedModel) -> None:
    """The one file that MLflow wants of a model: it says that the weights are elsewhere."""
    from mlflow.models.utils import get_external_mlflow_model_spec

    with tempfile.TemporaryDirectory(prefix="nexus-logged-model-") as folder:
        get_external_mlflow_model_spec(model).save(str(Path(folder) / "MLmodel"))
        client.log_model_artifacts(model.model_id, folder)
    client.finalize_logged_model(model.model_id, "READY")


def _measure(client: MlflowClient, entry: RegistryEntry, run: Run, model: str) -> None:
    """Measurements name the dataset and the LoggedModel that they are of."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    run_id, started = run.info.run_id, run.info.start_time
    dataset = Dataset(
        name=f"{entry.model} dataset",
        digest=entry.dataset_digest.removeprefix("sha256:")[:_DATASET_DIGEST_LIMIT],
        source_type="nexus",
        source=json.dumps({"digest": entry.dataset_digest}),
        profile=json.dumps({"num_rows": entry.dataset_rows}),
    )
    of: Mapping[str, str] = {
        "model_id": model, "run_id": run_id, "dataset_name": dataset.name, "dataset_digest": dataset.digest
    }  # fmt: skip
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    client.log_batch(
        run_id,
        metrics=[Metric(key, value, started, 0, **of) for key, value in entry.metrics.items()],
        params=[Param(key, value) for key, value in entry.parameters.items()],
    )
