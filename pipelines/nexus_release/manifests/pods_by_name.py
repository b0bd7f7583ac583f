"""The headless Service of a release whose pods the gateway chooses from: its name leads to each one that is ready."""

from __future__ import annotations

from nexus_release.config import Settings
from nexus_release.manifests.engines import PORT
from nexus_release.manifests.objects import MODEL, Object, made
from nexus_release.manifests.scaling import SERVICE
from nexus_release.names import model_slug, service_name
from nexus_release.pod_groups import disaggregation
from nexus_release.routing_settings import PrefixChoice

_PODS = "-pods"


def choice_of(model: str, release: str, settings: Settings) -> PrefixChoice | None:
    """None where Kubernetes chooses, or an endpoint picker."""
    if disaggregation(model, release, settings) is not None:
        return None
    return settings.prefix_routing.models.get(model)


def pods_url(service: str, settings: Settings) -> str:
    return f"http://{service}{_PODS}.{settings.namespace}.{settings.domain}:{PORT}"


def pods_by_name(model: str, release: str, settings: Settings) -> dict[str, Object]:
    """{file: Service}; empty where nobody asks for it. KServe's own Service stays: probes and people ask there."""
    if choice_of(model, release, settings) is None:
        return {}
    service = service_name(model, release)
    spec = {
        "clusterIP": "None",
        "internalTrafficPolicy": "Cluster",
        "ports": [{"name": "http", "port": PORT, "protocol": "TCP", "targetPort": PORT}],
        "selector": {SERVICE: service},
        "sessionAffinity": "None",
        "type": "ClusterIP",
    }
    name, marks = service + _PODS, {MODEL: model_slug(model)}
    return {f"{name}.yaml": made("v1", "Service", name, settings.namespace, app="nexus-engine", marks=marks, spec=spec)}
