"""The PodMonitor by which Prometheus finds every engine of an environment."""

from __future__ import annotations

from nexus_release.config import Settings
from nexus_release.manifests.objects import MODEL, Object, made
from nexus_release.manifests.scaling import SERVICE

_NAME = "nexus-engines"


def engine_monitor(settings: Settings) -> dict[str, Object]:
    """{file name: PodMonitor}; empty where no prometheus-operator is, or engines are processes of this machine. Each
    series carries the pods' labels of release and model, by which scaling asks."""
    watching = settings.gateway.watching
    if not (settings.in_cluster and watching.operator):
        return {}
    spec = {
        "selector": {"matchExpressions": [{"key": SERVICE, "operator": "Exists"}]},
        "podMetricsEndpoints": [{"port": "http1", "path": "/metrics", "interval": "15s"}],
        "podTargetLabels": [SERVICE, MODEL],
    }
    space, marks = settings.namespace, watching.labels
    monitor = made("monitoring.coreos.com/v1", "PodMonitor", _NAME, space, app=_NAME, marks=marks, spec=spec)
    return {f"podmonitor-{_NAME}.yaml": monitor}
