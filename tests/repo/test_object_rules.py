"""Every object that is committed or could be rendered keeps the rules, and every rule finds what is planted."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from nexus_release.commands.policy import command
from nexus_release.object_rules.exemptions import EXEMPTIONS
from nexus_release.object_rules.findings import findings
from nexus_release.object_rules.quantities import canonical
from nexus_release.object_rules.rule import Placed
from nexus_release.object_rules.rules import NEEDS_TOKEN, RULES
from nexus_release.object_rules.together import FOLDER_RULES
from nexus_release.object_rules.traps import TRAPS

from ..support.cluster_settings import IMAGE
from ..support.kustomize import kustomize
from ..support.releases import plant_repository
from ..support.repository import ROOT
from .test_rendered import environment_of, objects

Document = dict[str, Any]
Mutation = Callable[[Document], None]


def test_every_object_that_is_rendered_keeps_every_rule() -> None:
    """An environment in every state, and in every way that it may choose, each as a tree of its own."""
    trees: dict[str, list[Placed]] = {}
    for path, body in objects().items():
        folder = "gitops/" + path.partition("gitops/")[2].rpartition("/")[0]
        trees.setdefault(environment_of(path), []).append(Placed(folder, body))
    found = {tree: [str(one) for one in findings(placed)] for tree, placed in trees.items()}
    assert {tree: lines for tree, lines in found.items() if lines} == {}
    assert len(trees) > 20


def test_what_is_committed_keeps_every_rule_whoever_wrote_it() -> None:
    kustomize()
    done = CliRunner().invoke(command, ["--root", str(ROOT)])
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    assert "objects keep every rule" in done.output


def put(*keys: str | int, to: Any) -> Mutation:
    def change(document: Document) -> None:
        place: Any = document
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to

    return change


def drop(*keys: str | int) -> Mutation:
    def change(document: Document) -> None:
        place: Any = document
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]

    return change


POD = ("spec", "template", "spec")
BOX = (*POD, "containers", 0)
PREDICTOR = ("spec", "predictor")
MODE = ("metadata", "annotations", "serving.kserve.io/deploymentMode")
SCALER = ("metadata", "annotations", "serving.kserve.io/autoscalerClass")
PLANTED: dict[str, list[tuple[str, Mutation]]] = {
    "image-by-digest": [("Deployment", put(*BOX, "image", to="registry.example.org/gateway:1"))],
    "image-not-latest": [
        ("Deployment", put(*BOX, "image", to="registry.example.org:5000/gateway")),
        ("StatefulSet", put(*BOX, "image", to="docker.io/library/redis:latest")),
    ],
    "resources-set": [
        ("Deployment", drop(*BOX, "resources", "limits", "memory")),
        ("StatefulSet", drop(*BOX, "resources")),
        ("Job", drop(*BOX, "resources", "requests", "cpu")),
    ],
    "model-resources-set": [("InferenceService", drop(*PREDICTOR, "model", "resources", "limits", "cpu"))],
    "request-within-limit": [
        ("Deployment", put(*BOX, "resources", "requests", "cpu", to="1500m")),
        ("StatefulSet", put(*BOX, "resources", "requests", "memory", to="1Gi")),
        (
            "InferenceService",
            put(*PREDICTOR, "model", "resources", to={"requests": {"cpu": "9"}, "limits": {"cpu": "8"}}),
        ),
    ],
    "not-root": [
        ("Deployment", put(*POD, "securityContext", "runAsUser", to=0)),
        ("Job", drop(*POD, "securityContext", "runAsNonRoot")),
        ("ServingRuntime", put("spec", "containers", 0, "securityContext", "runAsNonRoot", to=False)),
    ],
    "no-more-rights": [
        ("Deployment", put(*BOX, "securityContext", "allowPrivilegeEscalation", to=True)),
        ("Deployment", put(*BOX, "securityContext", "privileged", to=True)),
        ("StatefulSet", drop(*BOX, "securityContext", "capabilities")),
        ("Job", drop(*POD, "securityContext", "seccompProfile")),
    ],
    "read-only-root": [("Deployment", drop(*BOX, "securityContext", "readOnlyRootFilesystem"))],
    "no-secret-values": [
        ("Deployment", put(*BOX, "env", to=[{"name": "OPENAI_API_KEY", "value": "sk-1"}])),
        ("Deployment", put(*BOX, "env", to=[{"name": "GATEWAY_REDIS_URL", "value": "redis://:secret@nexus-redis/0"}])),
        ("ConfigMap", lambda body: body.update(kind="Secret")),
    ],
    "nothing-of-the-host": [
        ("Deployment", put(*POD, "hostNetwork", to=True)),
        ("StatefulSet", put(*POD, "volumes", 0, to={"name": "auth", "hostPath": {"path": "/"}})),
        ("Deployment", put(*BOX, "ports", 0, "hostPort", to=80)),
    ],
    "no-token": [
        ("Deployment", drop(*POD, "automountServiceAccountToken")),
        ("InferenceService", put(*PREDICTOR, "automountServiceAccountToken", to=True)),
        ("ServiceAccount", drop("automountServiceAccountToken")),
        ("CronWorkflow", drop("spec", "workflowSpec", "templates", 0, "serviceAccountName")),
    ],
    "probes-present": [
        ("Deployment", drop(*BOX, "readinessProbe")),
        ("ServingRuntime", drop("spec", "containers", 0, "livenessProbe")),
    ],
    "selector-matches": [
        ("Deployment", put("spec", "selector", "matchLabels", to={"app": "gateway"})),
        ("StatefulSet", put("spec", "selector", to={})),
    ],
    "one-scaler": [
        ("HorizontalPodAutoscaler", put("spec", "scaleTargetRef", "name", to="chat-1a2b3c4d-predictor")),
    ],
    "replicas-said-once": [("Deployment", put("spec", "replicas", to=2))],
    "drains-go-on": [
        ("PodDisruptionBudget", put("spec", to={"minAvailable": 2, "selector": {"matchLabels": {}}})),
        ("PodDisruptionBudget", put("spec", "maxUnavailable", to=0)),
        ("PodDisruptionBudget", put("spec", to={"minAvailable": "100%", "selector": {"matchLabels": {}}})),
    ],
    "services-find-pods": [("Service", put("spec", "selector", to={"app.kubernetes.io/name": "gateway"}))],
    "kserve-mode": [("InferenceService", put(*MODE, to="RawDeployment")), ("InferenceService", drop(*MODE))],
    "kserve-format": [
        ("InferenceService", put(*PREDICTOR, "model", "modelFormat", "name", to="vllm")),
        ("ServingRuntime", put("spec", "supportedModelFormats", 0, "name", to="VLLM")),
    ],
    "kserve-scaler": [("InferenceService", drop(*SCALER))],
    "kserve-storage": [("InferenceService", put(*PREDICTOR, "model", "storageUri", to="models:/chat/3"))],
    "kserve-framework": [("InferenceService", put(*PREDICTOR, "sklearn", to={"storageUri": "pvc://x"}))],
    "kserve-protocol": [("InferenceService", drop(*PREDICTOR, "model", "protocolVersion"))],
    "weights-twice": [
        ("InferenceService", put("spec", "canary", to=[{"trafficPercent": 10}])),
        ("InferenceService", put(*PREDICTOR, "canaryTrafficPercent", to=10)),
    ],
    "llm-fields": [
        ("LLMInferenceService", put("spec", "template", to={"spec": {"containers": []}})),
        ("LLMInferenceService", put("spec", "router", "route", to={"httpRoute": {}})),
        ("LLMInferenceService", put("spec", "router", "route", to={"http": {}, "weight": 0})),
    ],
    "cron-schedules": [
        ("CronWorkflow", put("spec", "schedule", to="0 3 * * *")),
        ("CronWorkflow", drop("spec", "timezone")),
    ],
    "pipeline-versions": [("PipelineVersion", put("metadata", "name", to="nexus-release-v2"))],
    "exact-quantities": [
        ("Deployment", put(*BOX, "resources", "limits", "cpu", to="1000m")),
        ("StatefulSet", put(*BOX, "resources", "limits", "memory", to="1024Mi")),
        ("InferenceService", put(*PREDICTOR, "model", "resources", "limits", "cpu", to="0.5")),
    ],
    "ports-say-protocol": [("ServingRuntime", drop("spec", "containers", 0, "ports", 0, "protocol"))],
    "claims-written-out": [
        ("StatefulSet", drop("spec", "volumeClaimTemplates", 0, "apiVersion")),
        ("StatefulSet", drop("spec", "volumeClaimTemplates", 0, "spec", "volumeMode")),
    ],
    "mounts-follow": [("Deployment", put(*BOX, "volumeMounts", 1, "subPath", to="chat.yaml"))],
    "vllm-port": [("Service", put("metadata", "name", to="vllm"))],
    "dead-metric": [
        ("PrometheusRule", put("spec", "groups", 0, "rules", 0, "expr", to="vllm:gpu_cache_usage_perc > 1"))
    ],
    "old-apis": [("HorizontalPodAutoscaler", put("apiVersion", to="autoscaling/v2beta2"))],
    "streams-unbuffered": [
        ("Ingress", drop("metadata", "annotations", "nginx.ingress.kubernetes.io/proxy-buffering")),
    ],
}
OTHERS: dict[str, Document] = {
    "LLMInferenceService": {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": "chat", "annotations": {"nexus.internal/needs-token": "its sidecar asks"}},
        "spec": {"template": {"containers": []}, "router": {"route": {"http": {}, "weight": 1}}},
    },
    "CronWorkflow": {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "CronWorkflow",
        "metadata": {"name": "nightly"},
        "spec": {
            "schedules": ["0 3 * * *"],
            "timezone": "UTC",
            "workflowSpec": {
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "templates": [
                    {
                        "name": "step",
                        "serviceAccountName": "release-step",
                        "container": {
                            "name": "main",
                            "image": IMAGE,
                            "resources": {side: {"cpu": "1", "memory": "1Gi"} for side in ("requests", "limits")},
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                                "readOnlyRootFilesystem": True,
                            },
                        },
                    }
                ],
            },
        },
    },
    "PipelineVersion": {
        "apiVersion": "pipelines.kubeflow.org/v2beta1",
        "kind": "PipelineVersion",
        "metadata": {"name": "nexus-release-fdc0cf26d0cf"},
        "spec": {},
    },
}
"""Kinds that no environment renders."""


def whole_environment() -> list[Document]:
    """One of each kind, so that those which belong together are together; one model scales by KServe's HPA."""
    found = [body for path, body in objects().items() if path.startswith("canary/gitops/prod/")]
    kinds: dict[str, Document] = {}
    for body in found:
        if body["metadata"]["name"] != "nexus-redis" or body["kind"] == "StatefulSet":
            kinds.setdefault(body["kind"], copy.deepcopy(body))
    service = kinds["InferenceService"]
    service["metadata"]["name"] = "chat-1a2b3c4d"
    service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] = "hpa"
    return [*kinds.values(), *copy.deepcopy([*OTHERS.values()])]


def broken(bodies: list[Document]) -> set[str]:
    return {one.rule for one in findings(Placed("gitops/prod/x", body) for body in bodies)}


def test_each_rule_has_a_planted_fault() -> None:
    assert PLANTED.keys() == {rule.name for rule in (*RULES, *FOLDER_RULES, *TRAPS)}
    assert broken(whole_environment()) == set()


@pytest.mark.parametrize(
    ("rule", "number"), [(rule, number) for rule, many in PLANTED.items() for number in range(len(many))]
)
def test_a_planted_fault_is_found_by_its_rule(rule: str, number: int) -> None:
    bodies = whole_environment()
    kind, plant = PLANTED[rule][number]
    plant(next(body for body in bodies if body["kind"] == kind))
    assert rule in broken(bodies)


def test_a_reason_lets_a_pod_have_a_token() -> None:
    bodies = whole_environment()
    deployment = next(body for body in bodies if body["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["automountServiceAccountToken"] = True
    deployment["metadata"]["annotations"][NEEDS_TOKEN] = "it asks the API server for the pods that there are"
    assert broken(bodies) == set()


def test_an_exemption_names_a_rule_and_a_reason() -> None:
    rules = {rule.name for rule in (*RULES, *FOLDER_RULES, *TRAPS)}
    assert all(one.rule in rules and len(one.reason) > 20 for one in EXEMPTIONS)


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("0.5", "500m"),
        (4, "4"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("1000Mi", "1000Mi"),
        ("2000M", "2G"),
        ("1Ki", "1Ki"),
        ("lots", None),
    ],
)
def test_a_quantity_is_written_as_an_api_server_writes_it(said: str | int, written: str | None) -> None:
    assert canonical(said) == written


def test_the_command_names_what_is_broken_and_ends_with_1(tmp_path: Path) -> None:
    plant_repository(tmp_path, "prod", "canary")
    assert CliRunner().invoke(command, ["--root", str(tmp_path)]).exit_code == 0
    runtime = tmp_path / "gitops/prod/runtimes/nexus-vllm.yaml"
    document = yaml.safe_load(runtime.read_text())
    document["spec"]["containers"][0]["image"] = "docker.io/vllm/vllm-openai:latest"
    runtime.write_text(yaml.safe_dump(document))
    done = CliRunner().invoke(command, ["--root", str(tmp_path), "--json"])
    assert done.exit_code == 1
    assert {one["rule"] for one in json.loads(done.stdout)} == {"image-by-digest", "image-not-latest"}
    told = CliRunner().invoke(command, ["--root", str(tmp_path)])
    assert "gitops/prod/runtimes: ServingRuntime nexus-vllm: image 'docker.io/vllm/vllm-openai:latest'" in told.stdout


def test_folders_that_people_write_are_built_and_held_to_the_rules(tmp_path: Path) -> None:
    kustomize()
    deployment = next(body for body in whole_environment() if body["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "IMAGE_REPO"
    overlay = tmp_path / "gitops/overlays/mock"
    overlay.mkdir(parents=True)
    (overlay / "deployment.yaml").write_text(yaml.safe_dump(deployment))
    images = [{"name": "IMAGE_REPO", "newName": "registry.example.org/gateway", "newTag": "2"}]
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["deployment.yaml"], "images": images}))
    plant_repository(tmp_path, "prod", "canary")
    assert CliRunner().invoke(command, ["--root", str(tmp_path)]).exit_code == 0  # a trial's image needs no digest
    images[0]["newTag"] = "latest"
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["deployment.yaml"], "images": images}))
    done = CliRunner().invoke(command, ["--root", str(tmp_path)])
    assert done.exit_code == 1
    assert "gitops/overlays/mock: Deployment nexus-gateway: image 'registry.example.org/gateway:latest'" in done.output


def test_a_folder_that_cannot_be_built_is_a_fault(tmp_path: Path) -> None:
    kustomize()
    overlay = tmp_path / "gitops/overlays/mock"
    overlay.mkdir(parents=True)
    (overlay / "kustomization.yaml").write_text("resources: [none.yaml]\n")
    (tmp_path / "environments").mkdir()
    done = CliRunner().invoke(command, ["--root", str(tmp_path)])
    assert "gitops/overlays/mock: kustomize cannot build it" in str(done.exception)


def test_without_kustomize_what_was_not_looked_at_is_told_and_in_ci_it_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay = tmp_path / "gitops/overlays/mock"
    overlay.mkdir(parents=True)
    (overlay / "kustomization.yaml").write_text("resources: []\n")
    (tmp_path / "environments").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    told = CliRunner().invoke(command, ["--root", str(tmp_path)])
    assert told.exit_code == 0
    assert "not looked at, for want of kustomize (`make services`): gitops/overlays/mock" in told.stderr
    monkeypatch.setenv("CI", "true")
    assert "make services" in str(CliRunner().invoke(command, ["--root", str(tmp_path)]).exception)
