"""Known traps of upstream: what a schema takes, a cluster takes, and nobody meant. Each with its mend."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from nexus_release.manifests.scaling import CLASS
from nexus_release.object_rules.pods import LLM, RUNTIMES, pods
from nexus_release.object_rules.quantities import canonical
from nexus_release.object_rules.rule import Object, Rule

_MODE = "serving.kserve.io/deploymentMode"
_MODEL_SERVERS = ("sklearn", "xgboost", "tensorflow", "pytorch", "onnx", "triton", "pmml", "lightgbm", "paddle")
_OLD_APIS = (
    "autoscaling/v2beta1",
    "autoscaling/v2beta2",
    "policy/v1beta1",
    "networking.k8s.io/v1beta1",
    "batch/v1beta1",
)
_BY_CONTENT = re.compile(r"-[0-9a-f]{8,64}$")
_NGINX_BUFFERING = "nginx.ingress.kubernetes.io/proxy-buffering"


def kserve_mode(body: Object) -> Iterator[str]:
    if body["kind"] == "InferenceService":
        mode = _annotation(body, _MODE)
        if mode != "Standard":
            yield f"{_MODE} is {mode!r}: say Standard; RawDeployment and Serverless are its old words"


def kserve_format(body: Object) -> Iterator[str]:
    for found in _values(body, "modelFormat", "supportedModelFormats"):
        for one in found if isinstance(found, list) else [found]:
            if isinstance(one, dict) and str(one.get("name")).lower() == "vllm" and one["name"] != "vLLM":
                yield f"model format {one['name']!r}: say vLLM, it is compared letter by letter"


def kserve_scaler(body: Object) -> Iterator[str]:
    if body["kind"] == "InferenceService" and _annotation(body, CLASS) is None:
        yield f"{CLASS} is missing: say none, external, hpa or keda"


def kserve_storage(body: Object) -> Iterator[str]:
    named = body["spec"].get("model") or {} if body["kind"] in LLM else {}
    for uri in (*_values(body, "storageUri"), named.get("uri", "")):
        if str(uri).startswith(("mlflow:", "models:", "runs:")):
            yield f"storage {uri!r}: resolve it in the registry to pvc://, s3://, gs:// or oci:// by digest"


def kserve_framework(body: Object) -> Iterator[str]:
    if body["kind"] == "InferenceService":
        for server in _MODEL_SERVERS:
            if server in body["spec"]["predictor"]:
                yield f"predictor.{server}: say predictor.model with modelFormat.name {server}"


def kserve_protocol(body: Object) -> Iterator[str]:
    model = body["spec"]["predictor"].get("model") if body["kind"] == "InferenceService" else None
    if model and (model.get("modelFormat") or {}).get("name") in ("vLLM", "triton") and "protocolVersion" not in model:
        yield "predictor.model.protocolVersion is missing: say v2"


def weights_twice(body: Object) -> Iterator[str]:
    if body["kind"] == "InferenceService":
        spec = body["spec"]
        if "canary" in spec or "canaryTrafficPercent" in spec["predictor"]:
            yield "take canary weights away: the gateway's routes alone split traffic"


def llm_fields(body: Object) -> Iterator[str]:
    if body["kind"].startswith("LLMInferenceService"):
        spec = body["spec"]
        for part in ("template", "worker"):
            if "spec" in (spec.get(part) or {}):
                yield f"{part}.spec: {part} is the pod's spec itself; take `spec` away"
        route = (spec.get("router") or {}).get("route") or {}
        if "httpRoute" in route:
            yield "router.route.httpRoute: say router.route.http"
        if route.get("weight") == 0:
            yield "router.route.weight 0: begin at 1, at 0 it never becomes ready"


def cron_schedules(body: Object) -> Iterator[str]:
    if body["kind"] == "CronWorkflow":
        if "schedule" in body["spec"]:
            yield "schedule is gone since Argo Workflows 4.0: say schedules, a list"
        if not body["spec"].get("timezone"):
            yield "timezone is missing: the controller's own is nobody's choice"


def pipeline_versions(body: Object) -> Iterator[str]:
    if body["kind"] == "PipelineVersion" and not _BY_CONTENT.search(body["metadata"]["name"]):
        yield "its spec can never be changed: end its name in a hash of its content"


def exact_quantities(body: Object) -> Iterator[str]:
    for resources in _values(body, "resources"):
        if not isinstance(resources, dict):
            continue
        for side in ("requests", "limits"):
            for what, said in (resources.get(side) or {}).items():
                if canonical(said) != said:
                    yield f"{side}.{what} {said!r}: say {canonical(said)!r}, as an API server writes it"


def ports_say_protocol(body: Object) -> Iterator[str]:
    if body["kind"] in (*RUNTIMES, *LLM, "InferenceService"):
        for pod in pods(body):
            for container in pod.every_container:
                if any("protocol" not in port for port in container.get("ports") or ()):
                    yield f"container {container['name']}: say protocol: TCP with each port"


def claims_written_out(body: Object) -> Iterator[str]:
    if body["kind"] == "StatefulSet":
        for claim in body["spec"].get("volumeClaimTemplates") or ():
            if not {"apiVersion", "kind", "status"} <= claim.keys() or "volumeMode" not in claim["spec"]:
                yield f"claim {claim['metadata']['name']}: write out apiVersion, kind, volumeMode and status"


def mounts_follow(body: Object) -> Iterator[str]:
    for pod in pods(body):
        changing = {one["name"] for one in pod.spec.get("volumes") or () if {"configMap", "secret"} & one.keys()}
        for container in pod.every_container:
            for mount in container.get("volumeMounts") or ():
                if mount["name"] in changing and (mount.get("subPath") or mount.get("subPathExpr")):
                    yield f"mount {mount['mountPath']}: take subPath away, and mount the folder"


def vllm_port(body: Object) -> Iterator[str]:
    if body["kind"] == "Service" and body["metadata"]["name"] == "vllm":
        yield "call it otherwise: pods beside it get VLLM_PORT=tcp://..., which vLLM reads as a number"


def dead_metric(body: Object) -> Iterator[str]:
    if "gpu_cache_usage_perc" in json.dumps(body):
        yield "vllm:gpu_cache_usage_perc is no more: ask for vllm:kv_cache_usage_perc"


def old_apis(body: Object) -> Iterator[str]:
    if body["apiVersion"] in _OLD_APIS:
        yield f"{body['apiVersion']} is served no more: say {body['apiVersion'].partition('/')[0]}/v1 (autoscaling: v2)"


def streams_unbuffered(body: Object) -> Iterator[str]:
    by_nginx = body["kind"] == "Ingress" and body["spec"].get("ingressClassName") == "nginx"
    if by_nginx and _annotation(body, _NGINX_BUFFERING) != "off":
        yield f'annotation {_NGINX_BUFFERING}: say "off"'


TRAPS = (
    Rule("kserve-mode", "chart, ConfigMap and code have three defaults; the webhook rewrites old words", kserve_mode),
    Rule("kserve-format", "no runtime is found; KServe's own blog writes it wrongly", kserve_format),
    Rule("kserve-scaler", "KServe makes an HPA of its own, which fights any other", kserve_scaler),
    Rule("kserve-storage", "KServe has no such storage, the pod never starts (kserve#4925)", kserve_storage),
    Rule("kserve-framework", "the webhook rewrites it: a difference for ever (kserve#2232)", kserve_framework),
    Rule("kserve-protocol", "the webhook fills it in: a difference for ever", kserve_protocol),
    Rule("weights-twice", "KServe and the gateway both split, and nobody knows the product", weights_twice),
    Rule("llm-fields", "fields of release blogs that the schema lacks are dropped without a word", llm_fields),
    Rule("cron-schedules", "the workflow never runs, or in another hour", cron_schedules),
    Rule("pipeline-versions", "KFP's webhook refuses the change, and the sync hangs", pipeline_versions),
    Rule("exact-quantities", "the API server rewrites it: a difference for ever", exact_quantities),
    Rule("ports-say-protocol", "a default inside a list: a difference for ever", ports_say_protocol),
    Rule("claims-written-out", "the API server fills them in, in a list: a difference for ever", claims_written_out),
    Rule("mounts-follow", "a file that is mounted by itself never changes again", mounts_follow),
    Rule("vllm-port", "engines end at their start", vllm_port),
    Rule("dead-metric", "nothing scales, since the query gives nothing", dead_metric),
    Rule("old-apis", "the sync fails on a new cluster", old_apis),
    Rule("streams-unbuffered", "nginx keeps a stream back until it is whole", streams_unbuffered),
)


def _annotation(body: Object, name: str) -> str | None:
    return (body["metadata"].get("annotations") or {}).get(name)


def _values(value: Any, *keys: str) -> Iterator[Any]:
    """Of these keys, wherever they stand."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in keys:
                yield inner
            yield from _values(inner, *keys)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner, *keys)
