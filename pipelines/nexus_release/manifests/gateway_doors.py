"""By what names and doors the gateway is reached: Services, and Ingress, HTTPRoute or load balancer."""

from __future__ import annotations

from nexus_release.config import Settings
from nexus_release.manifests.gateway_pods import GATEWAY, PORT, PORT_NAME, SELECTOR
from nexus_release.manifests.objects import PREFIX, Object, made, wave

REPLICAS = f"{GATEWAY}-replicas"
LOAD_BALANCER = f"{GATEWAY}-lb"
EACH_REPLICA = {PREFIX + "each": "replica"}
"""Label of the Service whose name gives every pod's address, so that a scrape asks each of them once."""


def gateway_doors(settings: Settings) -> dict[str, Object]:
    """{file: object}: the Services, and the one door that `expose` names."""
    objects = {
        "service.yaml": service(GATEWAY, GATEWAY, settings.namespace, {PORT_NAME: PORT}),
        "service-replicas.yaml": service(
            REPLICAS,
            GATEWAY,
            settings.namespace,
            {PORT_NAME: PORT},
            marks=EACH_REPLICA,
            clusterIP="None",
            publishNotReadyAddresses=True,  # who asks every replica wants to hear of those that are not well, too
        ),
    }
    match settings.gateway.expose:
        case "ingress":
            objects["ingress.yaml"] = _ingress(settings)
        case "gateway-api":
            objects["httproute.yaml"] = _http_route(settings)
        case "load-balancer":
            objects["service-lb.yaml"] = _load_balancer(settings)
    return objects


def service(
    name: str, app: str, namespace: str, ports: dict[str, int], *, marks: dict[str, str] | None = None, **more: object
) -> Object:
    """A Service of the pods of `app`; `ports` by the names that their containers give them."""
    spec = {
        "internalTrafficPolicy": "Cluster",
        "ports": [
            {"name": port, "port": number, "protocol": "TCP", "targetPort": port} for port, number in ports.items()
        ],
        "selector": {**SELECTOR, "app.kubernetes.io/name": app},
        "sessionAffinity": "None",
        "type": "ClusterIP",
        **more,
    }
    return made("v1", "Service", name, namespace, app=app, marks=marks, spec=spec)


def _load_balancer(settings: Settings) -> Object:
    door = settings.gateway.load_balancer
    spec = {
        "allocateLoadBalancerNodePorts": True,
        "externalTrafficPolicy": "Cluster",
        "internalTrafficPolicy": "Cluster",
        "loadBalancerSourceRanges": list(door.sources),
        "ports": [{"name": PORT_NAME, "port": 80, "protocol": "TCP", "targetPort": PORT_NAME}],
        "selector": SELECTOR,
        "sessionAffinity": "None",
        "type": "LoadBalancer",
    }
    # With the other doors: Argo CD waits until it has an address, and pods must not wait for that.
    told = {**door.annotations, **wave("Ingress")}
    return made("v1", "Service", LOAD_BALANCER, settings.namespace, app=GATEWAY, annotations=told, spec=spec)


def _ingress(settings: Settings) -> Object:
    own = settings.gateway
    backend = {"service": {"name": GATEWAY, "port": {"name": PORT_NAME}}}
    spec = {
        "ingressClassName": own.ingress.class_name,
        "rules": [{"host": own.host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
        **({"tls": [{"hosts": [own.host], "secretName": own.tls_secret}]} if own.tls_secret else {}),
    }
    return made(
        "networking.k8s.io/v1",
        "Ingress",
        GATEWAY,
        settings.namespace,
        app=GATEWAY,
        annotations=own.ingress.annotations,
        spec=spec,
    )


def _http_route(settings: Settings) -> Object:
    own = settings.gateway
    parent = {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "name": own.gateway_api.name,
        "namespace": own.gateway_api.namespace,
        **({"sectionName": own.gateway_api.section} if own.gateway_api.section else {}),
    }
    rule = {
        "backendRefs": [{"group": "", "kind": "Service", "name": GATEWAY, "port": PORT, "weight": 1}],
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        # A stream is one request: it may take as long as the gateway itself allows.
        "timeouts": {"request": f"{settings.timeouts.total_seconds}s"},
    }
    return made(
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        GATEWAY,
        settings.namespace,
        app=GATEWAY,
        spec={"hostnames": [own.host], "parentRefs": [parent], "rules": [rule]},
    )
