"""The ServingRuntime of an environment: how an engine is started, whatever the model."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_release.config import Settings
from nexus_release.manifests.objects import Object, labels, wave

MODEL_FOLDER = "/mnt/models"  # where KServe mounts what `storageUri` names
PORT = 8080
_USER = 1000  # any but root; neither engine needs a name in /etc/passwd, given HOME and USER
_STARTUP_SECONDS, _STARTUP_TRIES = 10, 180  # half an hour to load a large model from a cold volume


@dataclass(frozen=True)
class Engine:
    """What distinguishes one runtime from another."""

    model_format: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    apis: tuple[str, ...]
    """What it answers for a model that writes text, by the gateway's names."""


ENGINES = {
    "nexus-worker": Engine("compressed-tensors", ("nexus-worker", "serve"), (), ("chat", "completions")),
    "nexus-vllm": Engine(
        "vLLM",
        ("python3", "-m", "vllm.entrypoints.openai.api_server"),
        # Only /tmp can be written; the model is on the volume; nobody is told that we run.
        (
            ("HF_HOME", "/tmp/huggingface"),  # noqa: S108 - a path in the container, on a volume of the pod's own
            ("HF_HUB_OFFLINE", "1"),
            ("TORCHINDUCTOR_CACHE_DIR", "/tmp/inductor"),  # noqa: S108 - as above
            ("VLLM_CACHE_ROOT", "/tmp/vllm"),  # noqa: S108 - as above
            ("VLLM_CONFIG_ROOT", "/tmp/vllm"),  # noqa: S108 - as above
            ("VLLM_NO_USAGE_STATS", "1"),
        ),
        ("chat", "completions", "responses", "messages"),
    ),
}


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
            "containers": [_container(engine, settings.image)],
            "multiModel": False,
            "protocolVersions": ["v2"],
            # No autoSelect: each InferenceService names its runtime.
            "supportedModelFormats": [{"name": engine.model_format, "version": "1"}],
            "volumes": [
                {"name": "shm", "emptyDir": {"medium": "Memory"}},  # NCCL and torch share tensors through it
                {"name": "tmp", "emptyDir": {}},
            ],
        },
    }


def _container(engine: Engine, image: str | None) -> Object:
    environment = (*engine.environment, ("HOME", "/tmp"), ("USER", "nexus"))  # noqa: S108 - as above
    return {
        "name": "kserve-container",  # the name by which KServe knows the container that serves
        **({"image": image} if image else {}),
        "command": list(engine.command),
        "args": [f"--model={MODEL_FOLDER}", "--host=0.0.0.0", f"--port={PORT}"],
        "env": [{"name": name, "value": value} for name, value in sorted(environment)],
        "ports": [{"name": "http1", "containerPort": PORT, "protocol": "TCP"}],
        "startupProbe": {
            "httpGet": {"path": "/health", "port": PORT},
            "periodSeconds": _STARTUP_SECONDS,
            "failureThreshold": _STARTUP_TRIES,
        },
        "readinessProbe": {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 5},
        "livenessProbe": {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 30, "timeoutSeconds": 10},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - as above
    }
