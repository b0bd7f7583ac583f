"""The InferenceService of one release.

It follows from the release and the settings alone, never from the release's role, so that a rollback or a promotion
starts no pod anew. The gateway alone splits traffic: neither `spec.canary` nor `canaryTrafficPercent` is rendered.
The object has the form that KServe's webhook would give it, so that Argo CD sees no drift.
"""

from __future__ import annotations

from nexus_release.capacity.kernels import SUPPORT
from nexus_release.capacity.planner import Placement, place
from nexus_release.config import Settings
from nexus_release.errors import BadInput
from nexus_release.manifests.objects import MODEL, RELEASE, Object, labels, wave
from nexus_release.manifests.runtimes import ENGINES
from nexus_release.names import model_slug, service_name
from nexus_release.record import Content, release_id

_GPU = "nvidia.com/gpu"
_CPU_TARGET = 70  # percent at which the HPA adds a pod


def inference_service(content: Content, settings: Settings) -> Object:
    release = release_id(content)
    replicas, placement = settings.replicas, _placed(content, settings)
    scales = replicas.maximum > replicas.minimum
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": service_name(content.model, release),
            "namespace": settings.namespace,
            "labels": labels(**{MODEL: model_slug(content.model)}),  # a label cannot hold an alias, an annotation can
            "annotations": {
                **wave("InferenceService"),
                MODEL: content.model,
                RELEASE: release,
                # Always written: chart, ConfigMap and code of KServe have three different defaults.
                "serving.kserve.io/deploymentMode": "Standard",
                # `hpa` by default, which would fight a fixed number of pods.
                "serving.kserve.io/autoscalerClass": "hpa" if scales else "none",
            },
        },
        "spec": {
            "predictor": {
                "automountServiceAccountToken": False,
                "minReplicas": replicas.minimum,
                "maxReplicas": replicas.maximum,
                **({"scaleMetric": "cpu", "scaleTarget": _CPU_TARGET} if scales else {}),
                "model": _model(content, settings, placement),
                **(_placement(settings) if settings.gpu.enabled else {}),
            }
        },
    }


def storage_uri(artifacts: str, digest: str) -> str:
    """Where the cluster finds an artifact: `sha256:<hex>` is `<artifacts>/sha256/<hex>`."""
    return f"{artifacts}/{digest.replace(':', '/')}"


def _model(content: Content, settings: Settings, placement: Placement) -> Object:
    return {
        "modelFormat": {"name": ENGINES[settings.runtime].model_format, "version": "1"},
        "name": "",  # the webhook writes the container's empty name
        "protocolVersion": "v2",
        "runtime": settings.runtime,
        "storageUri": storage_uri(settings.artifacts, content.artifact.digest),
        "args": _arguments(content.model, settings, placement),
        "resources": _resources(settings, placement),
    }


def _placed(content: Content, settings: Settings) -> Placement:
    """Planned anew for this environment's machines, which a promotion may change. Raises BadInput where they do not
    hold the model."""
    said = content.recipe.get("quantize.scheme")
    scheme = next((known for known in SUPPORT if known == said), None)
    if scheme is None:
        raise BadInput(f"{content.model}: recipe.quantize.scheme", said, f"one of {', '.join(SUPPORT)}")
    placement = place(content.shape, scheme, settings.target, settings.gates.fit)
    if placement.refusal:
        raise BadInput(f"{content.model}: release", release_id(content)[:12], f"it does not fit: {placement.refusal}")
    return placement


def _arguments(model: str, settings: Settings, placement: Placement) -> list[str]:
    """Appended by KServe to the runtime's. The engine answers to the public alias and always reports usage, so that
    the gateway passes its bytes on as they are."""
    arguments = [
        f"--served-model-name={model}",
        "--enable-force-include-usage",
        f"--max-model-len={placement.context_tokens}",
        f"--max-num-seqs={settings.serving.concurrency}",
    ]
    if settings.gpu.enabled and settings.runtime == "nexus-vllm":
        arguments.append(f"--tensor-parallel-size={placement.tensor_parallel}")
        arguments.append(f"--gpu-memory-utilization={settings.serving.gpu_memory_percent / 100}")
    return arguments


def _resources(settings: Settings, placement: Placement) -> Object:
    # All of requests and limits are written: KServe fills what is absent from its ConfigMap (1 CPU, 2Gi).
    amounts = {"cpu": settings.resources.cpu, "memory": settings.resources.memory}
    if settings.gpu.enabled:
        amounts[_GPU] = str(placement.tensor_parallel)
    return {"limits": amounts, "requests": amounts}


def _placement(settings: Settings) -> Object:
    return {
        "nodeSelector": settings.gpu.node_selector,
        "tolerations": [toleration.model_dump(exclude_none=True) for toleration in settings.gpu.tolerations],
    }
