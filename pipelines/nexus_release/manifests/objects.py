"""What the rendered Kubernetes objects have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from nexus_release.documents import yaml_text
from nexus_release.errors import BadInput

Object = dict[str, object]

PREFIX = "nexus.internal/"  # .internal is reserved for private use (ICANN, 2024): nobody else's names can meet ours
MODEL = PREFIX + "model"
RELEASE = PREFIX + "release"

MAX_ANNOTATION_BYTES = 256 * 1024  # names and values of one object's annotations together (Kubernetes' own bound)
MAX_OBJECT_BYTES = 3 * 512 * 1024  # of a request to etcd, by its default

SYNC_WAVE = "argocd.argoproj.io/sync-wave"
# Order within one Argo CD Application. Across Applications there is none: there changes go expand, shift, contract.
WAVES = {
    "Namespace": -3,
    "NetworkPolicy": -2,  # before the first pod that it is for
    "ServiceAccount": -2,
    "ExternalSecret": -2,
    "ServingRuntime": 1,
    "InferenceService": 2,
    "LLMInferenceService": 2,
    "ConfigMap": 3,
    "Service": 3,
    "ScaledObject": 3,
    # A claim waits for its first pod, perhaps of another Application, and Argo CD for the claim: so nothing is later.
    "PersistentVolumeClaim": 4,
    "PodMonitor": 4,
    "Deployment": 4,  # after what its pods mount, and by whose names they are found
    "StatefulSet": 4,
    "HorizontalPodAutoscaler": 5,  # after what they are about
    "PodDisruptionBudget": 5,
    "Ingress": 5,  # nobody is let in before there are pods
    "HTTPRoute": 5,
    "ServiceMonitor": 6,
    "PrometheusRule": 6,
}
DASHBOARDS = {SYNC_WAVE: str(WAVES["PrometheusRule"])}
"""Of a ConfigMap that no pod mounts."""
NAME = "app.kubernetes.io/name"


def wave(kind: str) -> dict[str, str]:
    return {SYNC_WAVE: str(WAVES[kind])}


def labels(**more: str) -> dict[str, str]:
    return {"app.kubernetes.io/part-of": "nexus", **more}


def made(
    api: str,
    kind: str,
    name: str,
    namespace: str,
    *,
    app: str,
    annotations: Mapping[str, str] | None = None,
    marks: Mapping[str, str] | None = None,
    **body: object,
) -> Object:
    """An object of the application `app`, in its place in the order of a sync; `marks` are labels besides ours."""
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels(**{NAME: app}, **(marks or {})),
            "annotations": {**wave(kind), **(annotations or {})},
        },
        **body,
    }


def kustomization(folder: str, resources: Sequence[str], **more: object) -> dict[str, str]:
    """`kustomization.yaml` of `folder`, as {path: text}."""
    body: Mapping[str, object] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        **({"resources": sorted(resources)} if resources else {}),
        **more,
    }
    return {f"{folder}/kustomization.yaml": yaml_text(body)}


def application(
    folder: str, objects: Mapping[str, Object], others: Sequence[str] = (), **more: object
) -> dict[str, str]:
    """One folder that Argo CD syncs: one object per file, and the kustomization that lists them, `others` (folders)
    too, with `more` of its fields. Raises BadInput for an object that no API server would take."""
    for name, body in objects.items():
        _refuse_oversize(f"{folder}/{name}", body)
    files = {f"{folder}/{name}": yaml_text(body) for name, body in objects.items()}
    return {**files, **kustomization(folder, [*objects, *others], **more)}


def _refuse_oversize(path: str, body: Object) -> None:
    metadata = body["metadata"]
    annotations = metadata.get("annotations", {}) if isinstance(metadata, Mapping) else {}
    for what, size, most in (
        ("annotations", sum(len(f"{key}{value}".encode()) for key, value in annotations.items()), MAX_ANNOTATION_BYTES),
        ("object", len(json.dumps(body, ensure_ascii=False).encode()), MAX_OBJECT_BYTES),
    ):
        if size > most:
            raise BadInput(f"{path}: {what}", f"{size} bytes", f"Kubernetes takes {most}; shorten the settings")
