"""The PodMonitors by which Prometheus finds every engine of an environment."""

from __future__ import annotations

from nexus_release.config import Settings
from nexus_release.manifests.disaggregated import ROLE, WORKLOAD
from nexus_release.manifests.objects import MODEL, NAME, Object, made
from nexus_release.manifests.scaling import SERVICE

_NAME = "nexus-engines"
_HALVES = "nexus-engine-halves"


def engine_monitor(settings: Settings) -> dict[str, Object]:
    """{file name: PodMonitor}, one for each kind of pod; empty without prometheus-operator, and where engines are
    processes of this machine. Each series carries the pods' labels of release and model, by which scaling asks."""
    watching = settings.gateway.watching
    if not (settings.in_cluster and watching.operator):
        return {}
    selected: dict[str, tuple[Object, list[str]]] = {
        _NAME: ({"matchExpressions": [{"key": SERVICE, "operator": "Exists"}]}, [SERVICE, MODEL])
    }
    if settings.disaggregated.models:
        selected[_HALVES] = ({"matchLabels": WORKLOAD}, [NAME, ROLE, MODEL])
    return {f"podmonitor-{name}.yaml": _monitor(name, *said, settings) for name, said in selected.items()}


def _monitor(name: str, selector: Object, kept: list[str], settings: Settings) -> Object:
    spec = {
        "selector": selector,
        "podMetricsEndpoints": [{"port": "http1", "path": "/metrics", "interval": "15s"}],
        "podTargetLabels": kept,
    }
    space, marks = settings.namespace, settings.gateway.watching.labels
    return made("monitoring.coreos.com/v1", "PodMonitor", name, space, app=name, marks=marks, spec=spec)
