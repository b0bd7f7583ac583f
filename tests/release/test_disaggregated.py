"""A model whose prompts and answers are computed by different pods: what is rendered, refused, paid for and watched."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from nexus_release.adapters.argocd import ArgoCd
from nexus_release.config import Settings
from nexus_release.costs.queries import POD
from nexus_release.errors import BadInput
from nexus_release.manifests.disaggregated import HANDSHAKE
from nexus_release.manifests.objects import RELEASE
from nexus_release.manifests.tree import Inputs, render, service_path
from nexus_release.object_rules.findings import Placed, findings
from nexus_release.prices import pod_hour
from nexus_release.promotion.impact import impact

from ..support.argocd import TOKEN, application, argocd, service
from ..support.cluster_settings import CHOICES, IMAGE, settings_of
from ..support.releases import make_plan, make_pointer, make_record

MODEL = "pydoc-chat"
APART = CHOICES["prompts and answers apart"]
PLAN = make_plan(MODEL, "canary")
RECORDS = {make_pointer(record).release: record for record in (make_record(MODEL, seed) for seed in (1, 2, 3))}
WORKER = {"runtime": "nexus-worker", "gpu": {"enabled": False}, "engine_images": {"nexus-worker": IMAGE}}
FOLDER = f"gitops/prod/{MODEL}"


def apart(**model: Any) -> Settings:
    """prod with MODEL alone served so; `model` over what is said of it."""
    settings = settings_of("prod", APART)
    halves = settings.disaggregated.models[MODEL].model_dump() | model
    return settings_of("prod", APART, {"disaggregated": {"models": {MODEL: halves}}})


def inputs(settings: Settings) -> Inputs:
    return Inputs("prod", settings, {MODEL: PLAN}, RECORDS)


def tree(settings: Settings) -> dict[str, Any]:
    return {path: yaml.safe_load(text) for path, text in render(inputs(settings)).items()}


def served(settings: Settings, release: str = PLAN.stable.release) -> dict[str, Any]:
    found: dict[str, Any] = tree(settings)[service_path("prod", MODEL, release)]
    return found


def options(template: dict[str, Any]) -> dict[str, str]:
    return dict(word.removeprefix("--").partition("=")[::2] for word in template["containers"][0]["args"])


def test_each_half_has_its_pods_gpus_and_ports_and_both_read_one_model() -> None:
    body, record = served(apart()), RECORDS[PLAN.stable.release]
    assert (body["kind"], body["apiVersion"]) == ("LLMInferenceService", "serving.kserve.io/v1alpha2")
    assert body["metadata"]["annotations"][RELEASE] == PLAN.stable.release
    assert body["metadata"]["annotations"]["MODEL_URI"] == record.observed.registry_uri
    artifact = record.content.artifact.digest.removeprefix("sha256:")
    assert body["spec"]["model"] == {"name": MODEL, "uri": f"pvc://nexus-models/store/sha256/{artifact}"}
    decode, prefill = body["spec"]["template"], body["spec"]["prefill"]["template"]
    for template, port, gpus in ((decode, 8001, "4"), (prefill, 8000, "1")):
        (container,) = template["containers"]
        said = options(template)
        assert said["tensor-parallel-size"] == gpus == container["resources"]["limits"]["nvidia.com/gpu"]
        assert said["port"] == str(port) == str(container["ports"][0]["containerPort"])
        assert {container[probe]["httpGet"]["port"] for probe in ("startupProbe", "readinessProbe")} == {port}
        assert said["model"] == "/mnt/models"
        variables = {one["name"]: one for one in container["env"]}
        assert variables["VLLM_NIXL_SIDE_CHANNEL_PORT"]["value"] == str(HANDSHAKE)
        host = variables["VLLM_NIXL_SIDE_CHANNEL_HOST"]["valueFrom"]["fieldRef"]["fieldPath"]
        assert host == "status.podIP"  # `localhost`, its default, would be told to another pod
    assert (body["spec"]["replicas"], body["spec"]["prefill"]["replicas"]) == (2, 3)


def test_what_prefill_hands_over_decode_can_take() -> None:
    spec = served(apart())["spec"]
    halves = [options(spec["template"]), options(spec["prefill"]["template"])]
    assert len({half["max-model-len"] for half in halves}) == 1
    (connector,) = {half["kv-transfer-config"] for half in halves}
    assert json.loads(connector) == {
        "kv_connector": "NixlConnector",
        "kv_role": "kv_both",
        "kv_load_failure_policy": "fail",
    }


def test_the_gateway_asks_the_endpoint_picker_by_the_releases_own_route() -> None:
    routes = tree(apart())["gitops/prod/gateway/routes.d/pydoc-chat.yaml"]
    for name, upstream in routes["upstreams"].items():
        assert upstream["url"] == f"http://inference.inference-gateway.svc.cluster.local/nexus/{name}"
        assert upstream["release"].startswith(name.rpartition("-")[2])


def test_one_release_is_served_so_beside_another_that_is_not() -> None:
    assert PLAN.canary is not None
    settings = apart(releases=[PLAN.canary.release[:8]])
    assert served(settings, PLAN.canary.release)["kind"] == "LLMInferenceService"
    assert served(settings)["kind"] == "InferenceService"
    urls = {one["url"] for one in tree(settings)[f"gitops/prod/gateway/routes.d/{MODEL}.yaml"]["upstreams"].values()}
    assert {"-predictor." in url for url in urls} == {True, False}


def test_a_release_reaches_its_own_pods_and_nobody_elses() -> None:
    body = served(apart())
    name, files = body["metadata"]["name"], tree(apart())
    halves = files[f"{FOLDER}/networkpolicy-{name}-halves.yaml"]["spec"]
    own = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": name, "kserve.io/component": "workload"}}}
    assert halves["podSelector"] == own["podSelector"]
    assert {"from": [own]} in halves["ingress"]  # any port: UCX chooses its own
    assert {"to": [own]} in halves["egress"]
    proxies = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "inference-gateway"}},
        "podSelector": {"matchLabels": {"gateway.networking.k8s.io/gateway-name": "inference"}},
    }
    door = {"to": [proxies], "ports": [{"port": 8080, "protocol": "TCP"}]}
    assert door in files["gitops/prod/network/gateway.yaml"]["spec"]["egress"]


def test_prometheus_finds_both_halves() -> None:
    monitor = tree(apart())["gitops/prod/runtimes/podmonitor-nexus-engine-halves.yaml"]["spec"]
    assert monitor["selector"] == {"matchLabels": {"kserve.io/component": "workload"}}
    spec = served(apart())["spec"]
    for half in (spec, spec["prefill"]):
        assert half["template"]["containers"][0]["ports"][0]["name"] == monitor["podMetricsEndpoints"][0]["port"]
        assert half["labels"].keys() <= set(monitor["podTargetLabels"])


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ({}, "tenant"),
        ({"serving": {"prefix_cache": "shared"}}, None),
        ({"runtime": "nexus-sglang"}, None),  # nobody has shown that it heeds a salt in every API
    ],
)
def test_tenants_have_caches_of_their_own_where_the_engine_can(over: dict[str, Any], told: str | None) -> None:
    routes = tree(settings_of("prod", over))[f"gitops/prod/gateway/routes.d/{MODEL}.yaml"]
    assert {upstream.get("prefix_cache") for upstream in routes["upstreams"].values()} == {told}


@pytest.mark.parametrize("part", ["kserve", "kserve-prefill", "kserve-router-scheduler"])
def test_a_pod_of_either_half_is_paid_for_as_its_releases(part: str) -> None:
    found = re.fullmatch(POD, f"pydoc-chat-0123abcd-{part}-7d9f8-abcde")
    assert found is not None
    assert found[1] == "pydoc-chat-0123abcd"


def test_argo_cd_is_understood_to_run_it() -> None:
    name = served(apart())["metadata"]["name"]
    with argocd() as double:
        ours = {**service(name, "Progressing"), "kind": "LLMInferenceService"}
        gone = {**service("gone", "Missing"), "kind": "LLMInferenceService"}
        double.applications = [application("pydoc-chat", FOLDER, "a" * 40, resources=[ours, gone])]
        (part,) = ArgoCd(double.url, TOKEN).parts("prod")
    assert part.services == (name,)


def test_a_change_tells_the_pods_gpus_and_cost_of_both_halves() -> None:
    one_kind, halves = inputs(settings_of("prod", {"gpu": {"count": 4}})), inputs(apart())
    done = impact(one_kind, halves, MODEL)
    releases = len(PLAN.releases)
    assert (done.before.pods, done.after.pods) == (2 * releases, (3 + 2) * releases)
    assert (done.before.gpus, done.after.gpus) == (2 * releases, (3 * 1 + 2 * 4) * releases)
    each = 3 * pod_hour(halves.settings, 1) + 2 * pod_hour(halves.settings, 4)
    assert done.after.hour == each * Decimal(releases)
    assert any("cost rises" in why for _, why in done.needs)


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ({"runtime": "nexus-sglang"}, "runtime nexus-sglang hands no KV cache over: say runtime nexus-vllm"),
        (WORKER, "runtime nexus-worker hands no KV cache over"),
        ({"gpu": {"enabled": False}}, "prefill and decode are pods with GPUs: enable gpu"),
        ({"gpu": {"count": 2}}, r"decode.gpus is 4, but a pod may have gpu.count 2"),
        ({"disaggregated": {"gateway": None}}, r"gateway is null, but .*pydoc-chat are reached by it"),
    ],
)
def test_an_environment_that_cannot_serve_so_is_refused(over: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        settings_of("prod", APART, over)


def test_gpus_that_share_no_heads_are_refused() -> None:
    with pytest.raises(ValidationError, match="make one a multiple of the other"):
        apart(prefill={"replicas": 1, "gpus": 2}, decode={"replicas": 1, "gpus": 3})


def test_a_half_over_which_the_tensors_cannot_be_split_is_named() -> None:
    settings = apart(decode={"replicas": 1, "gpus": 3})
    with pytest.raises(BadInput, match=r"disaggregated\.models\.pydoc-chat\.decode\.gpus.*3.*cannot be split over 3"):
        render(inputs(settings))


@pytest.mark.parametrize("half", [("template",), ("prefill", "template")])
@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("image", "docker.io/vllm/vllm-openai:v0.30.0", "image-by-digest"),
        ("resources", {}, "resources-set"),
        ("securityContext", {}, "read-only-root"),
    ],
)
def test_pods_of_either_half_are_held_to_the_rules(half: tuple[str, ...], field: str, value: Any, rule: str) -> None:
    body = served(apart())
    assert [str(one) for one in findings([Placed(FOLDER, body)])] == []
    template = body["spec"]
    for part in half:
        template = template[part]
    template["containers"][0][field] = value
    assert rule in {one.rule for one in findings([Placed(FOLDER, body)])}


def test_another_scaler_of_a_half_is_refused() -> None:
    body = served(apart())
    body["spec"]["scaling"] = {"maxReplicas": 3, "wva": {"hpa": {}}}
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "mine", "namespace": body["metadata"]["namespace"]},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": f"{body['metadata']['name']}-kserve"}},
    }
    assert "one-scaler" in {one.rule for one in findings([Placed(FOLDER, body), Placed(FOLDER, scaler)])}
