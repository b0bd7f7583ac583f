"""What a company has once, gitops/platform/: built by kustomize, valid, and as the environments' settings name it."""

from __future__ import annotations

import copy
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from nexus_release.config import load_settings

from ..support.kustomize import kustomize
from ..support.object_schemas import Document, object_faults
from ..support.repository import ROOT
from ..support.team_mlflow import service

PLATFORM = ROOT / "gitops" / "platform"
FOLDERS = sorted(path.name for path in PLATFORM.iterdir() if path.is_dir())
KFP = "pipelines.kubeflow.org/v2beta1"  # its CRDs are not among those that we have


@cache
def built(folder: Path) -> tuple[Document, ...]:
    text = subprocess.run([*kustomize(), str(folder)], check=True, capture_output=True, text=True).stdout
    return tuple(yaml.load_all(text, Loader=yaml.CSafeLoader))


def one(folder: str, kind: str, name: str | None = None) -> Document:
    (found,) = (
        body for body in built(PLATFORM / folder) if body["kind"] == kind and name in (None, body["metadata"]["name"])
    )
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_object_is_valid_and_names_its_namespace(folder: str) -> None:
    found = built(PLATFORM / folder)
    assert len(found) >= 2
    for body in found:
        assert body["apiVersion"] == KFP or object_faults(body) == []
        assert body["kind"] == "Namespace" or body["metadata"]["namespace"]


def test_a_planted_fault_is_found() -> None:
    deployment = copy.deepcopy(one("mlflow", "Deployment"))
    deployment["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    assert object_faults(deployment)


def test_steps_find_mlflow_where_the_settings_say() -> None:
    pods, address = load_settings(ROOT, "dev").pods, one("mlflow", "Service")
    registry = urlsplit(pods.registry)
    (port,) = address["spec"]["ports"]
    name, namespace = address["metadata"]["name"], address["metadata"]["namespace"]
    assert (registry.hostname, registry.port) == (f"{name}.{namespace}.svc.cluster.local", port["port"])
    (peer,) = pods.egress["registry"]
    labels = one("mlflow", "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert peer.namespace == namespace
    assert peer.pods.items() <= labels.items()
    assert address["spec"]["selector"].items() <= labels.items()


def test_mlflow_lets_the_pods_of_steps_in() -> None:
    (rule,) = one("mlflow", "NetworkPolicy")["spec"]["ingress"]
    (expression,) = rule["from"][0]["namespaceSelector"]["matchExpressions"]
    assert load_settings(ROOT, "dev").pods.namespace in expression["values"]


def mlflow_container() -> dict[str, Any]:
    (container,) = one("mlflow", "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(container)


def test_mlflow_s_pod_runs_what_compose_runs() -> None:
    """Which other tests start for real."""
    compose, container = service("mlflow"), mlflow_container()
    words = [*container["command"], *container["args"]]
    asked = words.index("--allowed-hosts")
    assert words[:asked] + words[asked + 2 :] == compose["command"]
    told = {variable["name"]: variable for variable in container["env"]}
    secret = {name for name, value in compose["environment"].items() if "${" in value}
    assert {name for name in told if "valueFrom" in told[name]} == secret
    for name in compose["environment"].keys() - secret:
        assert told[name]["value"] == compose["environment"][name]


@pytest.mark.filterwarnings("ignore")  # of what MLflow's server imports
def test_mlflow_answers_to_the_name_that_steps_ask_for_and_would_not_by_its_defaults() -> None:
    from mlflow.server.security_utils import get_default_allowed_hosts, is_allowed_host_header

    words = mlflow_container()["args"]
    allowed = words[words.index("--allowed-hosts") + 1].split(",")
    host = urlsplit(load_settings(ROOT, "dev").pods.registry).netloc
    assert is_allowed_host_header(allowed, host)
    assert not is_allowed_host_header(get_default_allowed_hosts(), host)
    assert not is_allowed_host_header(allowed, "rebound.example.org:5000")


def test_mlflow_s_pod_passes_the_restricted_standard_and_writes_where_it_may() -> None:
    assert one("mlflow", "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pod, container = one("mlflow", "Deployment")["spec"]["template"]["spec"], mlflow_container()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/mlflow", "/tmp"}


def test_artifacts_in_a_bucket_change_the_destination_alone(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "gitops" / "components", tmp_path / "components")
    shutil.copytree(PLATFORM / "mlflow", tmp_path / "platform" / "mlflow")
    file = tmp_path / "platform" / "mlflow" / "kustomization.yaml"
    file.write_text(file.read_text() + "components: [../../components/mlflow-s3]\n")
    (deployment,) = (body for body in built(file.parent) if body["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    changed = {old: new for old, new in zip(mlflow_container()["args"], container["args"], strict=True) if old != new}
    assert changed == {"/mlflow/artifacts": "$(MLFLOW_ARTIFACTS_DESTINATION)"}
    (destination,) = (one for one in container["env"] if one["name"] == "MLFLOW_ARTIFACTS_DESTINATION")
    assert destination["valueFrom"]["secretKeyRef"] == {"name": "nexus-mlflow-s3", "key": "destination"}


def test_a_pipeline_comes_before_its_version_and_versions_stay() -> None:
    pipeline, version = one("pipelines", "Pipeline"), one("pipelines", "PipelineVersion")
    waves = [int(body["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]) for body in (pipeline, version)]
    assert waves == sorted(set(waves))
    assert version["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] == "Prune=false"
    assert version["metadata"]["annotations"]["argocd.argoproj.io/compare-options"] == "IgnoreExtraneous"
    generated = [*yaml.safe_load_all((ROOT / "pipelines" / "release_kfp_kubernetes.yaml").read_text())]
    assert [pipeline["spec"], version["spec"]] == [body["spec"] for body in generated]
    assert version["metadata"]["name"].startswith(f"{pipeline['metadata']['name']}-")  # and its content's hash


def test_what_argo_workflows_runs_is_what_is_generated() -> None:
    assert built(PLATFORM / "workflows") == built(ROOT / "workflows" / "dev")


def test_the_batch_runs_a_template_that_there_is_with_rights_that_there_are() -> None:
    batch, there = built(ROOT / "workflows" / "batch"), built(ROOT / "workflows" / "dev")
    assert [lines for body in batch if (lines := object_faults(body))] == []
    by_kind = {body["kind"]: body for body in batch}
    assert {body["metadata"]["name"] for body in batch} == {"nexus-batch"}
    named = {(body["kind"], body["metadata"]["name"]): body for body in there}
    template = named["WorkflowTemplate", by_kind["Workflow"]["spec"]["workflowTemplateRef"]["name"]]
    given = {
        parameter["name"]: parameter["value"] for parameter in by_kind["Workflow"]["spec"]["arguments"]["parameters"]
    }
    assert {parameter["name"] for parameter in template["spec"]["arguments"]["parameters"]} == given.keys()
    assert (ROOT / given["spec"]).is_file()
    assert ("Role", by_kind["RoleBinding"]["roleRef"]["name"]) in named


STRICT = {
    "activeDeadlineSeconds",
    "archiveLogs",
    "arguments",
    "artifactGC",
    "entrypoint",
    "metrics",
    "podGC",
    "priority",
    "shutdown",
    "suspend",
    "ttlStrategy",
    "volumeClaimGC",
    "workflowMetadata",
    "workflowTemplateRef",
}
"""All that Argo Workflows, since 4.0.5, lets a Workflow say of itself under `templateReferencing: Strict`."""


def test_what_runs_a_template_says_nothing_that_strict_referencing_refuses() -> None:
    objects = [*built(ROOT / "workflows" / "batch"), *built(ROOT / "workflows" / "dev")]
    said = {
        body["metadata"]["name"]: body["spec"]["workflowSpec"] if body["kind"] == "CronWorkflow" else body["spec"]
        for body in objects
        if body["kind"] in ("CronWorkflow", "Workflow")
    }
    assert {"nexus-batch", "release-pydoc-chat"} <= said.keys()
    assert {name: set(spec) - STRICT for name, spec in said.items() if set(spec) - STRICT} == {}
