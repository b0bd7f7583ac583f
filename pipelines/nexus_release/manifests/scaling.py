"""How many pods of a release run, and that one thing alone decides it.

KServe makes an HPA by itself unless `autoscalerClass` says otherwise, and two that set one Deployment's replicas fight
for ever. So the class is always written, and what is rendered is held against a second scaler of any target.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nexus_release.config import Settings
from nexus_release.errors import BadInput
from nexus_release.manifests.engines import ENGINES, Figures
from nexus_release.manifests.objects import MODEL, Object, labels, wave
from nexus_release.names import model_slug

CLASS = "serving.kserve.io/autoscalerClass"
SERVICE = "serving.kserve.io/inferenceservice"  # KServe's label of a pod
_METRIC_LABEL = "serving_kserve_io_inferenceservice"  # what Prometheus makes of it
_CLASSES = {"hpa": "hpa", "keda": "keda", "scaled-object": "external"}
_TRIES = 3  # of KEDA; then the pods stay as many as they are


def autoscaler_class(settings: Settings) -> str:
    """`none` where nothing scales: KServe's default, `hpa`, would fight a fixed number of pods."""
    return _CLASSES[settings.autoscaling.scaler] if _scales(settings) else "none"


def predictor_scaling(service: str, settings: Settings) -> Object:
    """What the predictor says of its replicas."""
    replicas, scaler = settings.replicas, settings.autoscaling.scaler
    bounds: Object = {"minReplicas": replicas.minimum, "maxReplicas": replicas.maximum}
    if not _scales(settings) or scaler == "scaled-object":
        return bounds
    if scaler == "hpa":
        return {**bounds, "scaleMetric": "cpu", "scaleTarget": settings.autoscaling.cpu_percent}
    metrics = [_external(query, target, settings) for query, target in _loads(service, settings)]
    behavior = {"scaleDown": {"stabilizationWindowSeconds": settings.autoscaling.settle_seconds}}
    return {**bounds, "autoScaling": {"metrics": metrics, "behavior": behavior}}


def scaled_object(service: str, model: str, settings: Settings) -> dict[str, Object]:
    """{file name: ScaledObject}; empty where KServe scales, or nobody does."""
    if not _scales(settings) or settings.autoscaling.scaler != "scaled-object":
        return {}
    name = f"{service}-load"  # KServe looks for a scaler under the Deployment's name, and removes what it finds
    return {f"{name}.yaml": _scaled_object(name, service, model, settings)}


def refuse_two_scalers(objects: Iterable[Mapping[str, Any]]) -> None:
    """Raises BadInput where two scale one target: by the InferenceService's class, an HPA or a ScaledObject."""
    scalers: dict[tuple[str, str, str], str] = {}
    for one in objects:
        for target in _targets(one):
            said = f"{one['kind']} {one['metadata']['name']}"
            if (other := scalers.setdefault(target, said)) != said:
                mend = f"{other} scales {' '.join(target)} already; take one of them away"
                raise BadInput("autoscaling", said, mend)


def _scales(settings: Settings) -> bool:
    return settings.replicas.maximum > settings.replicas.minimum


def _loads(service: str, settings: Settings) -> list[tuple[str, int]]:
    """(query over all pods of the service, how much of it one pod should have)."""
    figures, share = ENGINES[settings.runtime].figures, settings.autoscaling.load_percent
    at_once = max(1, settings.serving.concurrency * share // 100)
    loads = [(_requests(figures, service, settings.namespace), at_once)]
    if figures.cache:
        loads.append((f"100 * {_sum(figures.cache, service, settings.namespace)}", share))
    return loads


def _requests(figures: Figures, service: str, namespace: str) -> str:
    """Those that wait alone would be none as soon as there are pods enough, and the pods would go again."""
    return " + ".join(_sum(name, service, namespace) for name in (figures.running, figures.waiting) if name)


def _sum(name: str, service: str, namespace: str) -> str:
    return f'sum({name}{{namespace="{namespace}", {_METRIC_LABEL}="{service}"}})'


def _external(query: str, target: int, settings: Settings) -> Object:
    # KServe 0.20 reads `value` whatever the type says and fails without it; KEDA takes it as what one pod may have.
    return {
        "type": "External",
        "external": {
            "metric": {"backend": "prometheus", "serverAddress": settings.autoscaling.prometheus, "query": query},
            "target": {"type": "Value", "value": str(target)},
        },
    }


def _scaled_object(name: str, service: str, model: str, settings: Settings) -> Object:
    replicas, scaling = settings.replicas, settings.autoscaling
    down = {"stabilizationWindowSeconds": scaling.settle_seconds}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {
            "name": name,
            "namespace": settings.namespace,
            # KEDA writes the last label itself.
            "labels": labels(**{MODEL: model_slug(model), "scaledobject.keda.sh/name": name}),
            "annotations": wave("ScaledObject"),
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{service}-predictor"},
            "minReplicaCount": replicas.minimum,
            "maxReplicaCount": replicas.maximum,
            "fallback": {"behavior": "currentReplicas", "failureThreshold": _TRIES, "replicas": replicas.minimum},
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": down}}},
            "triggers": [_trigger(query, target, scaling.prometheus) for query, target in _loads(service, settings)],
        },
    }


def _trigger(query: str, target: int, prometheus: str) -> Object:
    return {
        "type": "prometheus",
        "metricType": "AverageValue",
        "metadata": {
            "serverAddress": prometheus,
            "query": query,
            "threshold": str(target),
            "ignoreNullValues": "false",  # no figures are a fault, and not a load of nothing
        },
    }


def _targets(one: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    namespace = one["metadata"].get("namespace", "")
    if one["kind"] == "InferenceService" and one["metadata"]["annotations"].get(CLASS, "hpa") in ("hpa", "keda"):
        yield namespace, "Deployment", f"{one['metadata']['name']}-predictor"
    elif one["kind"] == "LLMInferenceService" and "scaling" in one["spec"]:
        yield namespace, "Deployment", f"{one['metadata']['name']}-kserve"
    elif one["kind"] in ("HorizontalPodAutoscaler", "ScaledObject"):
        target = one["spec"]["scaleTargetRef"]
        yield namespace, target.get("kind", "Deployment"), target["name"]
