"""Every rendered object is held strictly against its kind: unknown fields, wrong types and missing values are faults.

In every clone by the types that installed packages carry, and against the upstream CRDs where NEXUS_CRDS points to
a folder of them. The committed tree is held to the same, and so is a made-up one in every state of its plans.
"""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from nexus_release.config import Settings, environment_names
from nexus_release.manifests.gateway import ROUTES_FOLDER
from nexus_release.manifests.tree import Inputs, differences, load_inputs, render

from ..support.cluster_settings import CHOICES, settings_of
from ..support.crd_schemas import crd_faults
from ..support.kserve_types import KINDS
from ..support.kustomize import kustomize
from ..support.object_schemas import Document, drift_faults, object_faults
from ..support.releases import MODELS, STATES, make_plan, make_pointer, make_record
from ..support.repository import ROOT

ENVIRONMENTS = environment_names(ROOT)
ROUTES_SCHEMA = ROOT / "gateway" / "routes.schema.json"


@cache
def trees() -> dict[str, str]:
    """Every rendered file there is: the committed ones, made-up ones in every environment and state, and one for each
    way that an environment may choose."""
    files = {path.relative_to(ROOT).as_posix(): path.read_text() for env in ENVIRONMENTS for path in committed(env)}
    for environment in ENVIRONMENTS:
        for state in STATES:
            files |= {f"{state}/{path}": text for path, text in made_up(environment, state).items()}
    for choice, over in CHOICES.items():
        tree = made_up("prod", "canary", settings_of("prod", over))
        files |= {f"{choice}/{path}": text for path, text in tree.items()}
    return files


def committed(environment: str) -> Iterator[Path]:
    return (path for path in sorted((ROOT / "gitops" / environment).rglob("*")) if path.is_file())


def made_up(environment: str, state: Any, settings: Settings | None = None) -> dict[str, str]:
    records = [make_record(model, seed) for model in MODELS for seed in (1, 2, 3)]
    plans = {model: make_plan(model, state) for model in MODELS}
    by_id = {make_pointer(record).release: record for record in records}
    return render(Inputs(environment, settings or settings_of(environment), plans, by_id))


@cache
def objects() -> dict[str, Document]:
    """Path -> object, without routes and kustomizations, which are no Kubernetes objects."""
    return {
        path: parsed(text)
        for path, text in trees().items()
        if f"/{ROUTES_FOLDER}/" not in path and not path.endswith("/kustomization.yaml")
    }


@cache
def parsed(text: str) -> Document:
    """The one object of a file: of a thousand files three in four are byte for byte another."""
    (body,) = yaml.load_all(text, Loader=yaml.CSafeLoader)
    assert isinstance(body, dict)
    return body


def environment_of(path: str) -> str:
    """The folder of an environment, `[<state>/]gitops/<env>`, that `path` is in."""
    state, _, rest = path.partition("gitops/")
    return f"{state}gitops/{rest.split('/')[0]}"


def of_kind(kind: str) -> dict[str, Document]:
    found = {path: body for path, body in objects().items() if body["kind"] == kind}
    assert found
    return found


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_committed_tree_is_what_its_sources_give(environment: str) -> None:
    assert differences(ROOT, environment, render(load_inputs(ROOT, environment))) == ()


def test_every_object_is_valid_to_the_last_field() -> None:
    texts = {trees()[path]: path for path in objects()}
    found = {path: object_faults(parsed(text)) for text, path in texts.items()}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_each_file_holds_one_object_and_no_name_is_used_twice() -> None:
    names: dict[tuple[str, ...], str] = {}
    for path, body in objects().items():
        key = (environment_of(path), body["kind"], body["metadata"]["name"])
        assert names.setdefault(key, path) == path


def test_the_gateway_alone_splits_traffic() -> None:
    for service in of_kind("InferenceService").values():
        assert "canary" not in service["spec"]
        assert "canaryTrafficPercent" not in service["spec"]["predictor"]


def test_every_service_names_a_runtime_and_a_format_that_its_environment_has() -> None:
    for path, service in of_kind("InferenceService").items():
        model = service["spec"]["predictor"]["model"]
        runtime = objects()[f"{environment_of(path)}/runtimes/{model['runtime']}.yaml"]
        assert model["modelFormat"] in runtime["spec"]["supportedModelFormats"]
        assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
        assert runtime["metadata"]["namespace"] == service["metadata"]["namespace"]


def test_every_service_states_all_that_kserve_would_fill_in() -> None:
    for service in of_kind("InferenceService").values():
        annotations = service["metadata"]["annotations"]
        assert annotations["serving.kserve.io/deploymentMode"] == "Standard"
        assert annotations["serving.kserve.io/autoscalerClass"] in ("none", "hpa", "keda", "external")
        for amounts in service["spec"]["predictor"]["model"]["resources"].values():
            assert {"cpu", "memory"} <= amounts.keys()


def test_artifacts_and_images_are_named_by_digest() -> None:
    for service in of_kind("InferenceService").values():
        assert re.search(r"/sha256/[0-9a-f]{64}$", service["spec"]["predictor"]["model"]["storageUri"])
    for path, runtime in of_kind("ServingRuntime").items():
        for container in runtime["spec"]["containers"]:
            in_a_cluster = "gitops/local/" not in path
            assert in_a_cluster == bool(re.search(r"@sha256:[0-9a-f]{64}$", container.get("image", "")))


def test_runtimes_pass_the_restricted_pod_security_standard_of_their_namespace() -> None:
    for space in of_kind("Namespace").values():
        assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for runtime in of_kind("ServingRuntime").values():
        assert all(volume.keys() <= {"name", "emptyDir"} for volume in runtime["spec"]["volumes"])
        assert "hostIPC" not in runtime["spec"]
        for container in runtime["spec"]["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["runAsNonRoot"] is True
            assert security["runAsUser"] > 0
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}


def test_each_release_in_a_cluster_is_proved_before_its_sync_by_a_pod_that_can_do_nothing_else() -> None:
    running = of_kind("InferenceService") | of_kind("LLMInferenceService")
    services = {path for path in running if "gitops/local/" not in path}
    jobs = {path: job for path, job in of_kind("Job").items() if path.endswith("-verify.yaml")}
    assert {path.replace("-verify.yaml", ".yaml") for path in jobs} == services
    for job in jobs.values():
        assert job["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "PreSync"
        pod = job["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["restartPolicy"] == "Never"
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["resources"]["limits"] == container["resources"]["requests"]
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }


def set_field(*keys: str | int, to: Any) -> Callable[[Document], None]:
    def plant(document: Document) -> None:
        place: Any = document
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to

    return plant


PREDICTOR = ("spec", "predictor")
CONTAINER = ("spec", "containers", 0)
JOB_POD = ("spec", "template", "spec")
PLANTED = {
    "misspelt field": ("InferenceService", set_field(*PREDICTOR, "minReplica", to=1)),
    "text for a number": ("InferenceService", set_field(*PREDICTOR, "maxReplicas", to="3")),
    "truth for a number": ("InferenceService", set_field(*PREDICTOR, "minReplicas", to=True)),
    "number for a quantity": ("InferenceService", set_field(*PREDICTOR, "model", "resources", "limits", "cpu", to=4)),
    "misspelt deep field": ("InferenceService", set_field(*PREDICTOR, "model", "storageURI", to="pvc://x")),
    "misspelt toleration": ("InferenceService", set_field(*PREDICTOR, "tolerations", 0, "operater", to="Exists")),
    "text for a list": ("InferenceService", set_field(*PREDICTOR, "model", "args", to="--port=1")),
    "field of another place": ("ServingRuntime", set_field("spec", "modelFormat", to={"name": "vLLM"})),
    "misspelt probe": ("ServingRuntime", set_field(*CONTAINER, "startupProbe", "failureTreshold", to=3)),
    "text for truth": ("ServingRuntime", set_field(*CONTAINER, "securityContext", "runAsNonRoot", to="true")),
    "number for a variable": ("ServingRuntime", set_field(*CONTAINER, "env", 0, "value", to=1)),
    "misspelt deadline": ("Job", set_field("spec", "activeDeadlineSecond", to=60)),
    "text for truth of a claim": (
        "Job",
        set_field(*JOB_POD, "volumes", 0, "persistentVolumeClaim", "readOnly", to="x"),
    ),
    "number for a key": ("Job", set_field(*JOB_POD, "containers", 0, "env", 0, "value", to=1)),
    "misspelt endpoint": ("PodMonitor", set_field("spec", "podMetricsEndpoints", 0, "intervall", to="15s")),
    "misspelt strategy": ("Deployment", set_field("spec", "strategy", "rollingUpdate", "maxSurges", to=1)),
    "text for a port": ("Deployment", set_field(*JOB_POD, "containers", 0, "ports", 0, "containerPort", to="8000")),
    "misspelt claim": ("StatefulSet", set_field("spec", "volumeClaimTemplates", 0, "spec", "accessMode", to="x")),
    "misspelt session": ("Service", set_field("spec", "sessionAffinty", to="None")),
    "misspelt metric": (
        "HorizontalPodAutoscaler",
        set_field("spec", "metrics", 0, "resource", "target", "averageUtilisation", to=7),
    ),
    "text for pods": ("HorizontalPodAutoscaler", set_field("spec", "maxReplicas", to="6")),
    "misspelt budget": ("PodDisruptionBudget", set_field("spec", "maxUnavailables", to=1)),
    "misspelt backend": ("Ingress", set_field("spec", "rules", 0, "http", "paths", 0, "backends", to={})),
    "misspelt policy type": ("NetworkPolicy", set_field("spec", "policyType", to=["Ingress"])),
    "unknown account field": ("ServiceAccount", set_field("automountServiceAccountTokens", to=False)),
    "number in a config map": ("ConfigMap", set_field("data", to={"a": 1})),
    "misspelt scrape": ("ServiceMonitor", set_field("spec", "endpoints", 0, "intervals", to="15s")),
    "rule without an expression": ("PrometheusRule", set_field("spec", "groups", 0, "rules", 0, to={"alert": "x"})),
    "misspelt parent": ("HTTPRoute", set_field("spec", "parentRefs", 0, "sectionNames", to="https")),
    "text for a weight": ("HTTPRoute", set_field("spec", "rules", 0, "backendRefs", 0, "weight", to="1")),
    "misspelt store": ("ExternalSecret", set_field("spec", "secretStoreRef", "type", to="SecretStore")),
    "another deletion": ("ExternalSecret", set_field("spec", "target", "deletionPolicy", to="Keep")),
    "unknown namespace field": ("Namespace", set_field("spec", to={"finalizer": []})),
    "number for a label": ("Namespace", set_field("metadata", "labels", "a", to=1)),
}


BY_CRD = {"PodMonitor", "ServiceMonitor", "PrometheusRule", "HTTPRoute"}
"""Kinds of which no installed package has a schema."""


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str) -> None:
    kind, plant = PLANTED[name]
    if kind in BY_CRD and "NEXUS_CRDS" not in os.environ:
        pytest.skip(f"only the upstream CRD knows a {kind}, and NEXUS_CRDS names no folder of them")
    document = copy.deepcopy(next(body for path, body in of_kind(kind).items() if "gitops/prod/" in path))
    assert object_faults(document) == []
    plant(document)
    assert object_faults(document)


@pytest.fixture
def crds() -> Path:
    if "NEXUS_CRDS" not in os.environ:
        pytest.skip("NEXUS_CRDS names no folder of upstream CRDs (`make crds` downloads them)")
    return Path(os.environ["NEXUS_CRDS"])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_upstream_crd_alone_finds_the_planted_faults(crds: Path, kind: str) -> None:
    planted = [(name, plant) for name, (of, plant) in PLANTED.items() if of == kind]
    for name, plant in planted:
        document = copy.deepcopy(next(body for path, body in of_kind(kind).items() if "gitops/prod/" in path))
        assert crd_faults(crds, document) == []
        plant(document)
        # A CRD takes a bare number for a quantity, and rewrites it.
        assert bool(crd_faults(crds, document)) == (name != "number for a quantity")


@pytest.mark.parametrize("kind", [*sorted(KINDS), "PodMonitor"])
def test_an_api_server_has_no_default_to_add(crds: Path, kind: str) -> None:
    for body in of_kind(kind).values():
        assert drift_faults(crds, body) == []


def test_no_pod_waits_until_a_door_has_an_address() -> None:
    pods = {wave_of(body) for body in of_kind("Deployment").values()}
    for kind in ("Ingress", "HTTPRoute", "Service"):
        doors = [body for body in of_kind(kind).values() if kind != "Service" or body["spec"]["type"] == "LoadBalancer"]
        assert doors
        assert min(map(wave_of, doors)) > max(pods)


def wave_of(body: Document) -> int:
    return int(body["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_folder_is_built_by_kustomize_into_its_own_objects(environment: str, tmp_path: Path) -> None:
    command = kustomize()
    files = made_up(environment, "contracted")
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    for folder in sorted((tmp_path / "gitops" / environment).iterdir()):
        built = subprocess.run([*command, folder], check=True, capture_output=True, text=True).stdout
        found = [body for body in yaml.safe_load_all(built) if body]
        written = [yaml.safe_load(path.read_text()) for path in folder.glob("*.yaml")]
        wanted = [body for body in written if body["kind"] != "Kustomization"]
        if folder.name == "gateway":
            found.remove(hold_routes(found, folder))
        assert sorted(found, key=json.dumps) == sorted(wanted, key=json.dumps)


def hold_routes(found: list[Document], folder: Path) -> Document:
    """One ConfigMap of a stable name, with one key per model."""
    (config_map,) = [body for body in found if body["metadata"]["name"] == "nexus-gateway-routes"]
    assert object_faults(config_map) == []
    assert config_map["data"] == {path.name: path.read_text() for path in (folder / ROUTES_FOLDER).iterdir()}
    return config_map


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_committed_folders_are_built_by_kustomize(environment: str) -> None:
    command = kustomize()
    for folder in sorted((ROOT / "gitops" / environment).iterdir()):
        subprocess.run([*command, folder], check=True, capture_output=True)


def test_every_route_is_one_that_the_gateway_takes() -> None:
    routes = {path: yaml.safe_load(text) for path, text in trees().items() if f"/{ROUTES_FOLDER}/" in path}
    assert routes
    if not ROUTES_SCHEMA.exists():
        pytest.skip("gateway/routes.schema.json is not here")
    validator = jsonschema.Draft202012Validator(json.loads(ROUTES_SCHEMA.read_text()))
    found = {path: [error.message for error in validator.iter_errors(body)] for path, body in routes.items()}
    assert {path: lines for path, lines in found.items() if lines} == {}
