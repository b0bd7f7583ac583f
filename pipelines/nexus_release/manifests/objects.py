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
    "ServingRuntime": 1,
    "InferenceService": 2,
    "ConfigMap": 3,
    "ScaledObject": 3,
    # A claim waits for its first pod, perhaps of another Application, and Argo CD for the claim: so nothing is later.
    "PersistentVolumeClaim": 4,
    "PodMonitor": 4,
}


def wave(kind: str) -> dict[str, str]:
    return {SYNC_WAVE: str(WAVES[kind])}


def labels(**more: str) -> dict[str, str]:
    return {"app.kubernetes.io/part-of": "nexus", **more}


def kustomization(folder: str, resources: Sequence[str], **more: object) -> dict[str, str]:
    """`kustomization.yaml` of `folder`, as {path: text}."""
    body: Mapping[str, object] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        **({"resources": sorted(resources)} if resources else {}),
        **more,
    }
    return {f"{folder}/kustomization.yaml": yaml_text(body)}


def application(folder: str, objects: Mapping[str, Object]) -> dict[str, str]:
    """One folder that Argo CD syncs: one object per file, and the kustomization that lists them. Raises BadInput for
    an object that no API server would take."""
    for name, body in objects.items():
        _refuse_oversize(f"{folder}/{name}", body)
    files = {f"{folder}/{name}": yaml_text(body) for name, body in objects.items()}
    return {**files, **kustomization(folder, list(objects))}


def _refuse_oversize(path: str, body: Object) -> None:
    metadata = body["metadata"]
    annotations = metadata.get("annotations", {}) if isinstance(metadata, Mapping) else {}
    for what, size, most in (
        ("annotations", sum(len(f"{key}{value}".encode()) for key, value in annotations.items()), MAX_ANNOTATION_BYTES),
        ("object", len(json.dumps(body, ensure_ascii=False).encode()), MAX_OBJECT_BYTES),
    ):
        if size > most:
            raise BadInput(f"{path}: {what}", f"{size} bytes", f"Kubernetes takes {most}; shorten the settings")
