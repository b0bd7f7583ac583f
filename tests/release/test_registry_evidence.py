"""What a person sees of a release in MLflow's pages, and where it goes when an orchestrator keeps a run of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nexus_release.adapters.mlflow_evidence import Surroundings
from nexus_release.adapters.mlflow_registry import MlflowRegistry
from nexus_release.errors import Missing
from nexus_release.names import service_name
from nexus_release.wiring import Connections

from ..support.mlflow_server import client_of
from .test_registry import entry

pytestmark = pytest.mark.services


def test_a_logged_model_says_what_the_weights_are_and_holds_none(mlflow_server: str) -> None:
    made = MlflowRegistry(mlflow_server).register(entry("org/logged.v1"))
    client = client_of(mlflow_server)
    model = client.get_logged_model(made.logged_model)
    assert (model.name, model.status, model.model_type) == (service_name("org/logged.v1", "a" * 64), "READY", "llm")
    assert model.source_run_id == made.run
    assert model.params == {"train.steps": "400", "train.learning_rate": "0.003"}
    assert model.tags["mlflow.model.isExternal"] == "true"
    assert model.tags["nexus.artifact_uri"] == f"pvc://nexus-models/sha256/{'b' * 64}"
    assert [file.path for file in client.list_logged_model_artifacts(made.logged_model)] == ["MLmodel"]


def test_its_measurements_name_the_dataset_that_they_are_of(mlflow_server: str) -> None:
    made = MlflowRegistry(mlflow_server).register(entry("measured"))
    client = client_of(mlflow_server)
    (dataset,) = client.get_run(made.run).inputs.dataset_inputs
    assert json.loads(dataset.dataset.profile) == {"num_rows": 4211}
    measured = {one.key: one for one in client.get_logged_model(made.logged_model).metrics}
    assert measured["perplexity.base"].value == 12.5
    assert measured["perplexity.base"].run_id == made.run
    assert {(one.dataset_name, one.dataset_digest) for one in measured.values()} == {
        (dataset.dataset.name, dataset.dataset.digest)
    }


def test_run_version_and_logged_model_lead_to_each_other(mlflow_server: str) -> None:
    made = MlflowRegistry(mlflow_server).register(entry("linked"))
    client = client_of(mlflow_server)
    assert [one.model_id for one in client.get_run(made.run).outputs.model_outputs] == [made.logged_model]
    version = client.get_model_version("linked", "1")
    assert (version.run_id, version.tags["nexus.logged_model"]) == (made.run, made.logged_model)
    assert f"nexus explain {'a' * 12}" in version.description
    listed = json.loads(client.get_logged_model(made.logged_model).tags["mlflow.modelVersions"])
    assert [(one["name"], int(one["version"])) for one in listed] == [("linked", 1)]
    assert "`nexus mirror` moves them" in client.get_registered_model("linked").description


def test_a_release_goes_under_the_run_that_an_orchestrator_has_begun(mlflow_server: str) -> None:
    client = client_of(mlflow_server)
    pipeline = client.create_run(client.create_experiment("pipelines-under"))
    around = Surroundings(run=pipeline.info.run_id)
    made = MlflowRegistry(mlflow_server, around).register(entry("under"))
    run = client.get_run(made.run)
    assert run.info.experiment_id == pipeline.info.experiment_id
    assert run.data.tags["mlflow.parentRunId"] == pipeline.info.run_id
    above = client.get_run(pipeline.info.run_id)
    assert (above.info.status, above.data.params) == ("RUNNING", {}), "that run is not ours to end or to fill"
    assert client.get_logged_model(made.logged_model).experiment_id == pipeline.info.experiment_id
    assert client.get_experiment_by_name("under") is None


def test_a_task_that_is_tried_again_under_another_run_keeps_its_first(mlflow_server: str) -> None:
    """As where a pod is started anew, and the orchestrator gives it a run of its own."""
    client = client_of(mlflow_server)
    experiment = client.create_experiment("pipelines-again")
    one, two = (client.create_run(experiment).info.run_id for _ in range(2))
    first = MlflowRegistry(mlflow_server, Surroundings(experiment, one)).register(entry("again"))
    assert MlflowRegistry(mlflow_server, Surroundings(experiment, two)).register(entry("again")) == first


def test_a_release_that_was_made_on_a_laptop_stays_one_where_a_pipeline_repeats_it(mlflow_server: str) -> None:
    first = MlflowRegistry(mlflow_server).register(entry("moved-house"))
    client = client_of(mlflow_server)
    pipeline = client.create_run(client.create_experiment("pipelines-house"))
    assert MlflowRegistry(mlflow_server, Surroundings(run=pipeline.info.run_id)).register(entry("moved-house")) == first


def test_a_run_that_is_not_there_is_said_by_its_variable(mlflow_server: str) -> None:
    with pytest.raises(Missing, match="MLFLOW_RUN_ID: MLflow has no run 0123"):
        MlflowRegistry(mlflow_server, Surroundings(run="0123" * 8)).register(entry("nowhere"))


def test_an_orchestrator_s_run_comes_by_mlflow_s_own_variables(tmp_path: Path) -> None:
    given = {"NEXUS_STATE": str(tmp_path), "MLFLOW_RUN_ID": "a-run", "MLFLOW_EXPERIMENT_ID": "7"}
    connections = Connections.from_environment(given)
    assert (connections.parent_run, connections.experiment) == ("a-run", "7")
