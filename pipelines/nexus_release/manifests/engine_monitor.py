"""The PodMonitor by which Prometheus finds every engine of an environment."""

from __future__ import annotations

from nexus_release.config import Settings
from nexus_release.manifests.objects import MODEL, Object, labels, wave
from nexus_release.manifests.scaling import SERVICE

_NAME = "nexus-engines"


def engine_monitor(settings: Settings) -> dict[str, Object]:
    """{file name: PodMonitor}. Each series carries the pods' labels of release and model, by which scaling asks."""
    return {
        f"podmonitor-{_NAME}.yaml": {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PodMonitor",
            "metadata": {
                "name": _NAME,
                "namespace": settings.namespace,
                "labels": labels(),
                "annotations": wave("PodMonitor"),
            },
            "spec": {
                "selector": {"matchExpressions": [{"key": SERVICE, "operator": "Exists"}]},
                "podMetricsEndpoints": [{"port": "http1", "path": "/metrics", "interval": "15s"}],
                "podTargetLabels": [SERVICE, MODEL],
            },
        }
    }
