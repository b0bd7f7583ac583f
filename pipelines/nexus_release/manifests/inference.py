"""The InferenceService of one release.

It follows from the release's record and the settings alone, never from the release's role, so that a rollback or a
promotion starts no pod anew. The gateway alone splits traffic: neither `spec.canary` nor `canaryTrafficPercent` is
rendered. The object has the form that KServe's webhook would give it, so that Argo CD sees no drift.
"""

from __future__ import annotations

from nexus_release.capacity.planner import Placement
from nexus_release.config import Settings
from nexus_release.manifests.engines import ENGINES
from nexus_release.manifests.objects import MODEL, RELEASE, Object, labels, wave
from nexus_release.manifests.runtimes import gpu_nodes, pod_security
from nexus_release.manifests.scaling import CLASS, autoscaler_class, predictor_scaling
from nexus_release.names import model_slug, service_name
from nexus_release.pod_groups import placed
from nexus_release.record import Content, Record, release_id

_GPU = "nvidia.com/gpu"
_MODEL_URI = "MODEL_URI"  # where the registry has it, for people: a pod takes what `storageUri` names


def inference_service(record: Record, settings: Settings) -> Object:
    content = record.content
    release, (pods,) = release_id(content), placed(content, settings)
    name = service_name(content.model, release)
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": settings.namespace,
            "labels": labels(**{MODEL: model_slug(content.model)}),  # a label cannot hold an alias, an annotation can
            "annotations": {
                **wave("InferenceService"),
                **provenance(record),
                # Always written: chart, ConfigMap and code of KServe have three different defaults.
                "serving.kserve.io/deploymentMode": "Standard",
                CLASS: autoscaler_class(settings),
            },
        },
        "spec": {
            "predictor": {
                "automountServiceAccountToken": False,
                **predictor_scaling(name, settings),
                "model": _model(content, settings, pods.placement),
                "securityContext": pod_security(),
                **(gpu_nodes(settings) if settings.gpu.enabled else {}),
            }
        },
    }


def provenance(record: Record) -> dict[str, str]:
    """Annotations that say which release it is."""
    content = record.content
    return {MODEL: content.model, RELEASE: release_id(content), _MODEL_URI: record.observed.registry_uri}


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
        "args": ENGINES[settings.runtime].serves(content.model, settings, placement),  # appended to the runtime's
        "resources": resources(settings, placement),
    }


def resources(settings: Settings, placement: Placement) -> Object:
    """Of one pod's container."""
    # All of requests and limits are written: KServe fills what is absent from its ConfigMap (1 CPU, 2Gi).
    amounts = {"cpu": settings.resources.cpu, "memory": settings.resources.memory}
    if settings.gpu.enabled:
        amounts[_GPU] = str(placement.tensor_parallel)
    return {"limits": amounts, "requests": amounts}
