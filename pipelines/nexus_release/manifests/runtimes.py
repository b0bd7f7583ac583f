"""The ServingRuntime of an environment: how an engine is started, whatever the model, and what it keeps on disk."""

from __future__ import annotations

from collections.abc import Sequence

from nexus_release.config import Settings
from nexus_release.manifests.engines import CACHE, ENGINES, PORT, Engine
from nexus_release.manifests.objects import Object, labels, wave
from nexus_release.pods import USER

MODEL_FOLDER = "/mnt/models"  # where KServe mounts what `storageUri` names
CACHE_CLAIM = "nexus-engine-cache"
_HUB = "HF_TOKEN"
_STARTUP_SECONDS, _STARTUP_TRIES = 10, 180  # half an hour to load a large model from a cold volume


def serving_runtime(settings: Settings) -> Object:
    engine = ENGINES[settings.runtime]
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {
            "name": settings.runtime,
            "namespace": settings.namespace,
            "labels": labels(),
            "annotations": wave("ServingRuntime"),
        },
        "spec": {
            "annotations": {"prometheus.kserve.io/path": "/metrics", "prometheus.kserve.io/port": str(PORT)},
            # By this name KServe knows the container that serves.
            "containers": [engine_container("kserve-container", engine, settings)],
            "multiModel": False,
            "protocolVersions": ["v2"],
            # No autoSelect: each InferenceService names its runtime.
            "supportedModelFormats": [{"name": engine.model_format, "version": "1"}],
            "volumes": engine_volumes(settings),
        },
    }


def cache_claim(settings: Settings) -> dict[str, Object]:
    """{file name: PersistentVolumeClaim}; empty where each pod has a cache of its own."""
    if settings.cache.kind != "claim":
        return {}
    storage_class = settings.cache.storage_class
    return {
        f"persistentvolumeclaim-{CACHE_CLAIM}.yaml": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": CACHE_CLAIM,
                "namespace": settings.namespace,
                "labels": labels(),
                "annotations": wave("PersistentVolumeClaim"),
            },
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "resources": {"requests": {"storage": settings.cache.size}},
                "volumeMode": "Filesystem",
                **({"storageClassName": storage_class} if storage_class else {}),
            },
        }
    }


def engine_container(
    name: str,
    engine: Engine,
    settings: Settings,
    variables: Sequence[Object] = (),
    port: int = PORT,
    **more: object,
) -> Object:
    """Reads the model from MODEL_FOLDER and listens on `port`; what follows from the model is appended to its `args`.
    `variables` are besides the engine's own, `more` stands in place of what is here."""
    image = settings.image
    return {
        "name": name,
        **({"image": image} if image else {}),
        "command": list(engine.command),
        "args": engine.listens(MODEL_FOLDER, port),
        "env": [*_environment(engine, settings), *variables],
        "ports": [{"name": "http1", "containerPort": port, "protocol": "TCP"}],
        "startupProbe": {
            "httpGet": {"path": engine.probes.alive, "port": port},
            "periodSeconds": _STARTUP_SECONDS,
            "failureThreshold": _STARTUP_TRIES,
        },
        "readinessProbe": {"httpGet": {"path": engine.probes.ready, "port": port}, "periodSeconds": 5},
        "livenessProbe": {
            "httpGet": {"path": engine.probes.alive, "port": port},
            "periodSeconds": 30,
            "timeoutSeconds": 10,
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": USER,  # no engine needs a name in /etc/passwd, given HOME and USER
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "cache", "mountPath": CACHE},
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - a path in the container, on a volume of the pod's own
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - as above
        ],
        **more,
    }


def engine_volumes(settings: Settings) -> list[Object]:
    """Without the model's."""
    kept: Object = {"persistentVolumeClaim": {"claimName": CACHE_CLAIM}}
    if settings.cache.kind == "empty-dir":
        kept = {"emptyDir": {"sizeLimit": settings.cache.size}}
    return [
        {"name": "cache", **kept},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},  # NCCL and torch share tensors through it
        {"name": "tmp", "emptyDir": {}},
    ]


def gpu_nodes(settings: Settings) -> Object:
    """Where a pod with a GPU may run."""
    return {
        "nodeSelector": settings.gpu.node_selector,
        "tolerations": [toleration.model_dump(exclude_none=True) for toleration in settings.gpu.tolerations],
    }


def pod_security() -> Object:
    """Of the whole pod, so that a cache on a volume can be written whoever owns its root."""
    return {
        "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch",  # a cache has many files
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _environment(engine: Engine, settings: Settings) -> list[Object]:
    """Offline, unless a token says that something of the hub is wanted: a model is whole where it lies."""
    told = dict(engine.environment) | {"HOME": "/tmp", "USER": "nexus"}  # noqa: S108 - as above
    if settings.hub_token is None:
        told["HF_HUB_OFFLINE"] = "1"
    shown: dict[str, Object] = {name: {"name": name, "value": value} for name, value in told.items()}
    if settings.hub_token is not None:
        secret = {"secretKeyRef": {"name": settings.hub_token, "key": _HUB}}
        shown[_HUB] = {"name": _HUB, "valueFrom": secret}
    return [shown[name] for name in sorted(shown)]
