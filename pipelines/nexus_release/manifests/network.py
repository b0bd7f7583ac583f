"""Who may reach whom in an environment's namespace. What no policy here names, nobody reaches.

A policy holds for pods, not for Services: ports are those that containers listen on.
"""

from __future__ import annotations

from collections.abc import Sequence

from nexus_release.config import Settings
from nexus_release.manifests.engines import PORT as ENGINE_PORT
from nexus_release.manifests.gateway_pods import GATEWAY, SELECTOR
from nexus_release.manifests.gateway_pods import PORT as GATEWAY_PORT
from nexus_release.manifests.objects import NAME, PREFIX, Object, made
from nexus_release.manifests.peers import NAMES, pods_of, rules, tcp
from nexus_release.manifests.redis import PORT as REDIS_PORT
from nexus_release.manifests.redis import REDIS
from nexus_release.manifests.redis_group import SENTINEL_PORT
from nexus_release.manifests.scaling import SERVICE

ASKS_GATEWAY = {PREFIX + "asks": "gateway"}
"""Label of pods in the namespace, Jobs of ours, that may ask the gateway and nobody else."""
_ANY_POD: Object = {}
_GATEWAY: Object = {"matchLabels": SELECTOR}
_ENGINES: Object = {"matchExpressions": [{"key": SERVICE, "operator": "Exists"}]}
_REDIS: Object = {"matchLabels": {NAME: REDIS}}
_NETWORK = "nexus-network"


def network(settings: Settings) -> dict[str, Object]:
    """{file: NetworkPolicy}."""
    policies: dict[str, tuple[Object, list[Object], list[Object]]] = {
        "nothing": (_ANY_POD, [], []),
        "gateway": (_GATEWAY, _callers(settings), _called(settings)),
        "engines": (_ENGINES, _engine_callers(settings), [NAMES, *rules(settings.network.engines)]),
        "asks-gateway": ({"matchLabels": ASKS_GATEWAY}, [], [NAMES, _to(_GATEWAY, GATEWAY_PORT)]),
    }
    if settings.redis.rendered:
        policies["redis"] = _redis(settings)
    return {f"{name}.yaml": _policy(name, settings.namespace, *said) for name, said in policies.items()}


def _callers(settings: Settings) -> list[Object]:
    own = settings.gateway
    asking: list[Object] = [
        {"podSelector": {"matchLabels": ASKS_GATEWAY}},
        pods_of(own.watching.namespace, {}),
        *(pods_of(caller.namespace, caller.pods) for caller in own.callers),
    ]
    match own.expose:
        case "ingress":
            asking.append(pods_of(own.ingress.namespace, {}))
        case "gateway-api":
            asking.append(pods_of(own.gateway_api.proxies, {}))
        case "load-balancer":
            asking += [{"ipBlock": {"cidr": source}} for source in own.load_balancer.sources]
    return [{"from": asking, "ports": tcp(GATEWAY_PORT)}]


def _called(settings: Settings) -> list[Object]:
    found = [NAMES, _to(_ENGINES, ENGINE_PORT)]
    if (door := settings.disaggregated.gateway) is not None:
        found.append({"to": [pods_of(door.namespace, door.pods)], "ports": tcp(door.port)})
    if settings.redis.rendered:
        found.append(_to(_REDIS, *_redis_ports(settings)))
    if settings.redis.mode == "external":
        found += rules(settings.redis.egress)
    repository = settings.console.checkout.egress if settings.console.checkout else ()
    return [*found, *rules(settings.gateway.egress), *rules(repository)]


def _engine_callers(settings: Settings) -> list[Object]:
    asking = [{"podSelector": _GATEWAY}, pods_of(settings.gateway.watching.namespace, {})]
    return [{"from": asking, "ports": tcp(ENGINE_PORT)}]


def _redis(settings: Settings) -> tuple[Object, list[Object], list[Object]]:
    """Pods of a group ask each other; a single one asks nobody."""
    ports, group = _redis_ports(settings), settings.redis.mode == "sentinel"
    asking = [_GATEWAY, _REDIS] if group else [_GATEWAY]
    ingress: Object = {"from": [{"podSelector": pods} for pods in asking], "ports": tcp(*ports)}
    return _REDIS, [ingress], [NAMES, _to(_REDIS, *ports)] if group else []


def _redis_ports(settings: Settings) -> tuple[int, ...]:
    return (REDIS_PORT, SENTINEL_PORT) if settings.redis.mode == "sentinel" else (REDIS_PORT,)


def _to(pods: Object, *ports: int) -> Object:
    return {"to": [{"podSelector": pods}], "ports": tcp(*ports)}


def _policy(name: str, namespace: str, pods: Object, ingress: Sequence[Object], egress: Sequence[Object]) -> Object:
    spec = {
        "podSelector": pods,
        "policyTypes": ["Ingress", "Egress"],
        **({"ingress": list(ingress)} if ingress else {}),
        **({"egress": list(egress)} if egress else {}),
    }
    app = {"gateway": GATEWAY, "redis": REDIS}.get(name, _NETWORK)
    return made("networking.k8s.io/v1", "NetworkPolicy", name, namespace, app=app, spec=spec)
