"""How Prometheus finds the gateway's pods. What it rings for is in `watching/`."""

from __future__ import annotations

from nexus_release.config import Settings
from nexus_release.manifests.gateway_doors import EACH_REPLICA
from nexus_release.manifests.gateway_pods import GATEWAY, PORT_NAME, SELECTOR
from nexus_release.manifests.objects import NAME, Object, made

_EVERY = "15s"


def gateway_watch(settings: Settings) -> dict[str, Object]:
    """{file: object}; empty where no operator is."""
    return {"servicemonitor.yaml": _monitor(settings)} if settings.gateway.watching.operator else {}


def _monitor(settings: Settings) -> Object:
    key = settings.gateway.watching.key
    shown = {"authorization": {"credentials": {"key": key.key, "name": key.secret}, "type": "Bearer"}} if key else {}
    spec = {
        # The operator's label `endpoint`, the port's name, would else take the place of the breakers' own.
        "endpoints": [{**shown, "honorLabels": True, "interval": _EVERY, "path": "/metrics", "port": PORT_NAME}],
        "jobLabel": NAME,
        "namespaceSelector": {"matchNames": [settings.namespace]},
        "selector": {"matchLabels": {**SELECTOR, **EACH_REPLICA}},
    }
    return made(
        "monitoring.coreos.com/v1",
        "ServiceMonitor",
        GATEWAY,
        settings.namespace,
        app=GATEWAY,
        marks=settings.gateway.watching.labels,
        spec=spec,
    )
