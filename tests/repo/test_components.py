"""The components that a part of an environment can be changed by: Argo Rollouts, the meshes, MetalLB."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..support.application_sets import Object, kustomized, of_kind
from ..support.cluster_settings import settings_of
from ..support.crd_schemas import crd_faults
from ..support.mesh_schemas import SPECS, mesh_faults
from ..support.object_schemas import object_faults
from ..support.repository import ROOT
from .test_rendered import made_up

COMPONENTS = ROOT / "gitops" / "components"
ON_GATEWAY = ("rollouts-blue-green", "rollouts-canary")
ON_NAMESPACE = ("mesh-istio", "mesh-linkerd", "metallb")
ON_PLATFORM = ("mlflow-s3",)
SPACE = "nexus"
NAMED = {"app.kubernetes.io/name": "nexus-gateway"}


def changed(folder: Path, component: str, *over: dict[str, Any]) -> list[Object]:
    """The part of prod that a component is for, changed by it; `over` is over the environment's settings."""
    part = "gateway" if component in ON_GATEWAY else "namespace"
    for path, text in made_up("prod", "canary", settings_of("prod", *over)).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    shutil.copytree(COMPONENTS, folder / "gitops" / "components")
    source = {"path": f"gitops/prod/{part}", "kustomize": {"components": [f"../../components/{component}"]}}
    return kustomized(folder, {"metadata": {"name": part}, "spec": {"source": source}})


def faults(body: Object) -> list[str]:
    found = mesh_faults(body)
    if found is not None:
        return found
    if body["apiVersion"].startswith("argoproj.io/"):
        return (crd_faults(Path(os.environ["NEXUS_CRDS"]), body) or []) if "NEXUS_CRDS" in os.environ else []
    return object_faults(body)


def test_every_component_is_one_that_a_part_can_have_or_is_within_one() -> None:
    folders = {path.parent.name for path in COMPONENTS.glob("*/kustomization.yaml")}
    assert folders == {*ON_GATEWAY, *ON_NAMESPACE, *ON_PLATFORM, "gateway-analysis"}


@pytest.mark.parametrize("component", ON_GATEWAY + ON_NAMESPACE)
def test_what_a_component_gives_is_valid_and_in_the_environments_namespace(component: str, tmp_path: Path) -> None:
    objects = changed(tmp_path, component)
    assert {body["kind"]: faults(body) for body in objects if faults(body)} == {}
    spaces = {body["metadata"].get("namespace") for body in objects if body["kind"] != "Namespace"}
    assert spaces == {"metallb-system" if component == "metallb" else SPACE}
    assert "NAMESPACE" not in json.dumps(objects)
    assert "set by" not in json.dumps(objects)


def planted(*keys: str | int, to: Any) -> Callable[[Object], None]:
    def plant(document: Object) -> None:
        place: Any = document
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to

    return plant


PLANTED = {
    "PeerAuthentication": planted("spec", "mtls", "mode", to="strict"),
    "AuthorizationPolicy": planted("spec", "target", to={}),
    "Server": planted("spec", "port", to="8080x"),
    "MeshTLSAuthentication": planted("spec", "identityRefs", to=[{"kind": "User", "name": "x"}]),
    "IPAddressPool": planted("spec", "addresses", to=["everywhere"]),
    "L2Advertisement": planted("spec", "pools", to=["nexus"]),
}


@pytest.mark.parametrize("kind", sorted({kind for _, kind in SPECS}))
def test_a_planted_fault_is_found(kind: str, tmp_path: Path) -> None:
    found = [body for component in ON_NAMESPACE for body in changed(folder_in(tmp_path, component), component)]
    for body in (body for body in found if body["kind"] == kind):
        assert mesh_faults(body) == []
        PLANTED[kind](broken := copy.deepcopy(body))
        assert mesh_faults(broken)


def folder_in(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


@pytest.mark.parametrize("component", ON_GATEWAY)
def test_the_rollout_takes_over_the_deployments_pods_and_the_autoscaler_follows(component: str, tmp_path: Path) -> None:
    objects = changed(tmp_path, component)
    rollout, deployment = of_kind(objects, "Rollout"), of_kind(objects, "Deployment")
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment["metadata"]["name"]}
    assert rollout["spec"]["workloadRef"] == {**reference, "scaleDown": "onsuccess"}
    target = of_kind(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": rollout["metadata"]["name"]}
    assert "replicas" not in rollout["spec"]
    assert "replicas" not in deployment["spec"]


@pytest.mark.parametrize("component", ON_GATEWAY)
def test_a_gateway_that_does_not_scale_is_refused(component: str, tmp_path: Path) -> None:
    alone = {"gateway": {"replicas": {"minimum": 2, "maximum": 2}}}
    with pytest.raises(subprocess.CalledProcessError) as refused:
        changed(tmp_path, component, alone)
    assert "HorizontalPodAutoscaler" in refused.value.stderr


@pytest.mark.parametrize("component", ON_GATEWAY)
def test_each_analysis_is_given_what_its_template_asks_for(component: str, tmp_path: Path) -> None:
    objects = changed(tmp_path, component)
    templates = {body["metadata"]["name"]: body["spec"] for body in objects if body["kind"] == "AnalysisTemplate"}
    analyses = found_analyses(of_kind(objects, "Rollout")["spec"]["strategy"])
    assert {one["templateName"] for each in analyses for one in each["templates"]} == templates.keys()
    for each in analyses:
        given = {argument["name"]: argument for argument in each["args"]}
        assert given["namespace"]["value"] == SPACE
        assert given["new"]["valueFrom"] == {"podTemplateHashValue": "Latest"}
        for one in each["templates"]:
            asked = {argument["name"] for argument in templates[one["templateName"]]["args"] if "value" not in argument}
            assert asked <= given.keys()
    for spec in templates.values():
        declared = {argument["name"] for argument in spec["args"]}
        assert set(re.findall(r"\{\{args\.(\w+)\}\}", json.dumps(spec["metrics"]))) == declared


def test_prometheus_is_asked_where_the_environments_ask_it(tmp_path: Path) -> None:
    wanted = {"name": "prometheus", "value": settings_of("prod").autoscaling.prometheus}
    templates = [body for body in changed(tmp_path, "rollouts-canary") if body["kind"] == "AnalysisTemplate"]
    assert [wanted in body["spec"]["args"] for body in templates] == [True, True]


def found_analyses(node: Any) -> list[Object]:
    if isinstance(node, list):
        return [found for item in node for found in found_analyses(item)]
    if not isinstance(node, dict):
        return []
    return ([node] if "templates" in node else []) + [one for item in node.values() for one in found_analyses(item)]


def test_the_preview_of_a_blue_green_rollout_is_a_service_that_there_is(tmp_path: Path) -> None:
    objects = changed(tmp_path, "rollouts-blue-green")
    strategy = of_kind(objects, "Rollout")["spec"]["strategy"]["blueGreen"]
    services = {body["metadata"]["name"]: body["spec"] for body in objects if body["kind"] == "Service"}
    active, preview = (services[strategy[f"{role}Service"]] for role in ("active", "preview"))
    assert active["selector"] == preview["selector"]
    assert active["ports"] == preview["ports"]


def test_both_meshes_let_the_same_callers_in(tmp_path: Path) -> None:
    gateway, prometheus = f"{SPACE}/nexus-gateway", "monitoring/*"
    wanted = {(json.dumps({"component": "predictor"}), 8080): {gateway, prometheus}, **callers_of_a_group()}
    assert let_in_by_istio(changed(folder_in(tmp_path, "istio"), "mesh-istio")) == wanted
    assert let_in_by_linkerd(changed(folder_in(tmp_path, "linkerd"), "mesh-linkerd")) == wanted


def callers_of_a_group() -> dict[tuple[str, int], set[str]]:
    """Of three Redis pods with their Sentinels, as the NetworkPolicy has it; an account bears the name of its pods."""
    files = made_up("prod", "canary", settings_of("prod", {"redis": {"mode": "sentinel"}}))
    spec = yaml.safe_load(files["gitops/prod/network/redis.yaml"])["spec"]
    (rule,) = spec["ingress"]
    callers = {f"{SPACE}/{name}" for peer in rule["from"] for name in peer["podSelector"]["matchLabels"].values()}
    assert len(callers) == 2
    return {(json.dumps(spec["podSelector"]["matchLabels"]), port["port"]): callers for port in rule["ports"]}


def let_in_by_istio(objects: list[Object]) -> dict[tuple[str, int], set[str]]:
    found: dict[tuple[str, int], set[str]] = {}
    for body in objects:
        if body["kind"] == "AuthorizationPolicy":
            (rule,) = body["spec"]["rules"]
            sources = [one["source"] for one in rule["from"]]
            callers = {re.sub("^.*/ns/(.*)/sa/", r"\1/", name) for one in sources for name in one.get("principals", [])}
            callers |= {f"{name}/*" for one in sources for name in one.get("namespaces", [])}
            (ports,) = (one["operation"]["ports"] for one in rule["to"])
            chosen = json.dumps(body["spec"]["selector"]["matchLabels"])
            found |= {(chosen, int(port)): callers for port in ports}
    return found


def let_in_by_linkerd(objects: list[Object]) -> dict[tuple[str, int], set[str]]:
    callers: dict[str, set[str]] = {}
    for body in (body for body in objects if body["kind"] == "MeshTLSAuthentication"):
        spec, space = body["spec"], body["metadata"]["namespace"]
        named = {f"{space}/{one['name']}" for one in spec.get("identityRefs", [])}
        suffix = ".serviceaccount.identity.linkerd.cluster.local"
        for one in spec.get("identities", []):
            account, _, other = one.removesuffix(suffix).partition(".")
            named.add(f"{other}/{account}")
        callers[body["metadata"]["name"]] = named
    found: dict[tuple[str, int], set[str]] = {}
    for server in (body for body in objects if body["kind"] == "Server"):
        assert server["spec"]["accessPolicy"] == "deny"
        key = json.dumps(server["spec"]["podSelector"]["matchLabels"]), server["spec"]["port"]
        policies = [body["spec"] for body in objects if body["kind"] == "AuthorizationPolicy"]
        ours = [spec for spec in policies if spec["targetRef"]["name"] == server["metadata"]["name"]]
        assert all(len(spec["requiredAuthenticationRefs"]) == 1 for spec in ours)
        found[key] = {who for spec in ours for who in callers[spec["requiredAuthenticationRefs"][0]["name"]]}
    return found


def test_the_whole_namespace_asks_for_certificates_and_only_the_gateways_port_is_left_open(tmp_path: Path) -> None:
    objects = changed(tmp_path, "mesh-istio")
    peers = {body["metadata"]["name"]: body["spec"] for body in objects if body["kind"] == "PeerAuthentication"}
    assert peers["nexus"] == {"mtls": {"mode": "STRICT"}}
    assert {name: spec.get("portLevelMtls") for name, spec in peers.items() if name != "nexus"} == {
        "nexus-gateway": {"8000": {"mode": "PERMISSIVE"}}
    }
    assert peers["nexus-gateway"]["selector"]["matchLabels"] == NAMED


@pytest.mark.parametrize(("component", "port"), [("mesh-istio", 15008), ("mesh-linkerd", 4143)])
def test_network_policies_let_the_mesh_through(component: str, port: int, tmp_path: Path) -> None:
    spec = of_kind(changed(tmp_path, component), "NetworkPolicy")["spec"]
    assert spec["podSelector"] == {}
    for way in ("ingress", "egress"):
        assert port in {one["port"] for rule in spec[way] for one in rule.get("ports", [])}
    assert all("ports" in rule for rule in spec["egress"])


def test_the_pool_that_is_advertised_is_the_one_that_there_is(tmp_path: Path) -> None:
    objects = changed(tmp_path, "metallb")
    assert of_kind(objects, "L2Advertisement")["spec"]["ipAddressPools"] == [
        of_kind(objects, "IPAddressPool")["metadata"]["name"]
    ]


def test_the_meshes_choose_pods_by_labels_that_pods_have(tmp_path: Path) -> None:
    rendered = [yaml.safe_load(text) for text in made_up("prod", "canary", settings_of("prod")).values()]
    pods = [body["spec"]["template"] for body in rendered if body.get("kind") in ("Deployment", "StatefulSet")]
    meshes = [body for name in ON_NAMESPACE for body in changed(folder_in(tmp_path, name), name)]
    ours = [labels for labels in map(selected, meshes) if labels and labels != {"component": "predictor"}]  # KServe's
    assert ours
    for labels in ours:
        assert any(labels.items() <= pod["metadata"]["labels"].items() for pod in pods), labels
    assert "nexus-gateway" in {pod["spec"]["serviceAccountName"] for pod in pods}


def selected(body: Object) -> dict[str, str]:
    spec = body.get("spec", {})
    found: dict[str, str] = (spec.get("selector") or spec.get("podSelector") or {}).get("matchLabels", {})
    return found
