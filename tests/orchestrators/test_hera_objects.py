"""What is committed for Argo Workflows: valid to the last field, and the graph's own order, tries and deadlines."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from nexus_release.graph import NODES, waits_for

from ..support.argo_rendered import committed
from ..support.crd_schemas import crd_faults
from ..support.kustomize import kustomize
from ..support.repository import ROOT

KUBERNETES = "1.36"
FOLDER = ROOT / "workflows" / "dev"
Document = dict[str, Any]
OBJECTS = committed()
TEMPLATES: dict[str, Document] = {
    template["name"]: template
    for one in OBJECTS
    if one["metadata"]["name"] == "nexus-release" and one["kind"] == "WorkflowTemplate"
    for template in one["spec"]["templates"]
}
ALLOWED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected"}


def pod(template: Document, namespace: str) -> Document:
    """As Argo makes it, without Argo's own containers."""
    spec = {
        "containers": [{"name": "main", **template["container"]}],
        **{key: template[key] for key in ("securityContext", "volumes", "serviceAccountName")},
        **{key: template[key] for key in ("nodeSelector", "tolerations") if key in template},
        "automountServiceAccountToken": template["automountServiceAccountToken"],
        "activeDeadlineSeconds": template["activeDeadlineSeconds"],
        "restartPolicy": "Never",
    }
    metadata = {"name": template["name"], "namespace": namespace, "labels": template["metadata"]["labels"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def containers() -> dict[str, Document]:
    """`<WorkflowTemplate> <template>` -> the template."""
    return {
        f"{one['metadata']['name']} {template['name']}": template
        for one in OBJECTS
        for template in one.get("spec", {}).get("templates", [])
        if "container" in template
    }


@pytest.mark.parametrize("one", OBJECTS, ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_every_object_is_valid_to_the_last_field(one: Document) -> None:
    if one["apiVersion"] != "argoproj.io/v1alpha1":
        kubernetes_validate.validate(one, KUBERNETES, strict=True)
        return
    folder = os.environ.get("NEXUS_CRDS")
    if not folder:
        pytest.skip("NEXUS_CRDS names no folder of upstream CRDs (`make crds` downloads them)")
    assert crd_faults(Path(folder), one) == []


@pytest.mark.parametrize("name", containers())
def test_every_pod_is_valid_and_passes_the_restricted_standard(name: str) -> None:
    made = pod(containers()[name], "nexus-release")
    kubernetes_validate.validate(made, KUBERNETES, strict=True)
    (container,) = made["spec"]["containers"]
    assert made["spec"]["securityContext"]["runAsNonRoot"] is True
    assert made["spec"]["securityContext"]["runAsUser"] > 0
    assert made["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert all({*volume} - {"name"} <= ALLOWED_VOLUMES for volume in made["spec"]["volumes"])


def test_the_namespace_takes_no_less() -> None:
    (space,) = [one for one in OBJECTS if one["kind"] == "Namespace"]
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {one["metadata"].get("namespace", space["metadata"]["name"]) for one in OBJECTS} == {"nexus-release"}


def test_each_step_is_a_task_that_waits_for_what_it_reads_and_is_guarded_by_flags() -> None:
    tasks = {task["name"]: task for task in TEMPLATES["release"]["dag"]["tasks"]}
    assert {name: {*tasks[name].get("depends", "").split(" && ")} - {""} for name in NODES} == {
        name: {f"{earlier}.Succeeded" for earlier in waits_for(node)} for name, node in NODES.items()
    }
    flag = "{{tasks.%s.outputs.parameters.%s}} == true"
    assert {name: task["when"] for name, task in tasks.items() if "when" in task} == {
        name: " && ".join(flag % tuple(guard.split(".")) for guard in node.when)
        for name, node in NODES.items()
        if node.when
    }


def test_what_a_guard_asks_for_has_a_default_since_its_step_may_be_skipped() -> None:
    for name in {guard.split(".")[0] for node in NODES.values() for guard in node.when}:
        (flag,) = TEMPLATES[name]["outputs"]["parameters"]
        assert flag == {"name": "accepted", "valueFrom": {"default": "false", "path": "/tmp/flags/accepted"}}


def test_tries_and_deadlines_are_the_steps_own() -> None:
    assert {
        name: (TEMPLATES[name]["retryStrategy"]["limit"], TEMPLATES[name]["activeDeadlineSeconds"]) for name in NODES
    } == {name: (node.step.retries, node.step.timeout_seconds) for name, node in NODES.items()}


def test_one_release_of_a_model_runs_at_a_time() -> None:
    assert TEMPLATES["release"]["synchronization"] == {
        "mutexes": [{"name": "release/{{=jsonpath(inputs.parameters.params, '$.model')}}"}]
    }


def test_the_folder_is_one_that_kubectl_applies() -> None:
    built = subprocess.run([*kustomize(), str(FOLDER)], check=True, capture_output=True, text=True).stdout
    made = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(built)}
    assert made == {(one["kind"], one["metadata"]["name"]): one for one in OBJECTS}
