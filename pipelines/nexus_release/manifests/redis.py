"""Redis for the gateways: a pod with a volume, or three (`redis_group.py`).

It holds counters, answers for idempotency keys and notes of kept responses; what it loses is a minute of limits and a
few answers. So an append-only file that is written once a second is enough, and nothing is ever thrown out: where the
memory is full, writes are refused and each gateway counts for itself.
"""

from __future__ import annotations

from nexus_release.config import Settings
from nexus_release.gateway_settings import Amounts, PodResources
from nexus_release.kubernetes_values import memory_bytes
from nexus_release.manifests.external_secrets import external_secret
from nexus_release.manifests.gateway_doors import service
from nexus_release.manifests.objects import NAME, Object, labels, made
from nexus_release.manifests.redis_group import PODS, SCRIPTS, SENTINEL_FOLDER, SENTINEL_PORT, nodes, scripts
from nexus_release.manifests.restricted import (
    container,
    exec_probe,
    from_config_map,
    from_secret,
    pod,
    port,
    scratch,
    spread,
)

REDIS = "nexus-redis"
PORT = 6379
_CONFIG = f"{REDIS}-config"
_NODES = f"{REDIS}-nodes"
_AUTH_FOLDER, _DATA_FOLDER = "/etc/redis/auth", "/data"
_SELECTOR = {NAME: REDIS}
_USER, _GROUP = 999, 1000  # of the official image on Alpine
_STOP_SECONDS = 30  # it writes its file and ends
_SENTINEL_RESOURCES = PodResources(
    requests=Amounts(cpu="50m", memory="32Mi"), limits=Amounts(cpu="200m", memory="64Mi")
)


def redis(settings: Settings) -> dict[str, Object]:
    """{file: object}; empty where gateways count for themselves, and no more than its Secret where it is external."""
    own = settings.redis
    objects: dict[str, Object] = {}
    store = settings.gateway.secrets.store
    if own.mode != "none" and store is not None:
        objects["externalsecret.yaml"] = external_secret(own.secret, REDIS, settings.namespace, store)
    if own.rendered and own.image is not None:
        files = {"redis.conf": redis_conf(settings), **(scripts(PORT, _AUTH_FOLDER) if _is_group(settings) else {})}
        objects |= {
            "configmap.yaml": made("v1", "ConfigMap", _CONFIG, settings.namespace, app=REDIS, data=files),
            "service.yaml": service(REDIS, REDIS, settings.namespace, _asked_at(settings)),
            "serviceaccount.yaml": made(
                "v1", "ServiceAccount", REDIS, settings.namespace, app=REDIS, automountServiceAccountToken=False
            ),
            "statefulset.yaml": _stateful_set(own.image, settings),
            **(_of_group(settings) if _is_group(settings) else {}),
        }
    return objects


def _is_group(settings: Settings) -> bool:
    return settings.redis.mode == "sentinel"


def _asked_at(settings: Settings) -> dict[str, int]:
    """A group's clients ask a Sentinel, whichever it is, and then who leads."""
    return {"sentinel": SENTINEL_PORT} if _is_group(settings) else {"redis": PORT}


def _of_group(settings: Settings) -> dict[str, Object]:
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": _SELECTOR}}
    ports = {"redis": PORT, "sentinel": SENTINEL_PORT}
    return {
        "poddisruptionbudget.yaml": made(
            "policy/v1", "PodDisruptionBudget", REDIS, settings.namespace, app=REDIS, spec=budget
        ),
        # Pods must find each other before they are ready.
        "service-nodes.yaml": service(
            _NODES, REDIS, settings.namespace, ports, clusterIP="None", publishNotReadyAddresses=True
        ),
    }


def redis_conf(settings: Settings) -> str:
    """Redis's own configuration; the password is in the file that it includes."""
    own = settings.redis
    most = memory_bytes(own.resources.limits.memory) * own.max_memory_percent // 100
    return (
        f"include {_AUTH_FOLDER}/auth.conf\n"
        f"port {PORT}\n"
        f"dir {_DATA_FOLDER}\n"
        "appendonly yes\n"
        "appendfsync everysec\n"
        'save ""\n'
        f"maxmemory {most}\n"
        "maxmemory-policy noeviction\n"
    )


def _stateful_set(image: str, settings: Settings) -> Object:
    group = _is_group(settings)
    volumes = [from_secret("auth", settings.redis.secret), from_config_map("config", _CONFIG)]
    spec = {
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "podManagementPolicy": "Parallel" if group else "OrderedReady",
        "replicas": PODS if group else 1,
        "revisionHistoryLimit": 10,
        "selector": {"matchLabels": _SELECTOR},
        "serviceName": _NODES if group else REDIS,
        "template": {
            "metadata": {"labels": labels(**_SELECTOR)},
            "spec": pod(
                [_redis(image, settings), *([_sentinel(image, settings)] if group else [])],
                account=REDIS,
                user=_USER,
                group=_GROUP,
                stop_seconds=_STOP_SECONDS,
                volumes=[*volumes, *([scratch("sentinel", "16Mi")] if group else [])],
                **({"topologySpreadConstraints": spread(_SELECTOR)} if group else {}),
            ),
        },
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "volumeClaimTemplates": [_claim(settings)],
    }
    return made("apps/v1", "StatefulSet", REDIS, settings.namespace, app=REDIS, spec=spec)


def _redis(image: str, settings: Settings) -> Object:
    words = ["sh", f"{SCRIPTS}/redis.sh"] if _is_group(settings) else ["redis-server", f"{SCRIPTS}/redis.conf"]
    return container(
        "redis",
        image,
        settings.redis.resources,
        {"auth": _AUTH_FOLDER, "config": SCRIPTS, "data": f"{_DATA_FOLDER}!"},
        command=words,
        ports=[port("redis", PORT)],
        startupProbe=exec_probe(_ping(PORT), every=2, failures=150, timeout=5),  # it reads its file first
        readinessProbe=exec_probe(_ping(PORT), every=5, failures=2, timeout=5),
        livenessProbe=exec_probe(_ping(PORT), every=10, failures=6, timeout=5),
        **(_told(settings) if _is_group(settings) else {}),
    )


def _sentinel(image: str, settings: Settings) -> Object:
    asked = _ping(SENTINEL_PORT)
    return container(
        "sentinel",
        image,
        _SENTINEL_RESOURCES,
        {"auth": _AUTH_FOLDER, "config": SCRIPTS, "sentinel": f"{SENTINEL_FOLDER}!"},
        command=["sh", f"{SCRIPTS}/sentinel.sh"],
        ports=[port("sentinel", SENTINEL_PORT)],
        readinessProbe=exec_probe(asked, every=5, failures=2, timeout=5),
        livenessProbe=exec_probe(asked, every=10, failures=6, timeout=5),
        **_told(settings),
    )


def _told(settings: Settings) -> Object:
    return {"env": [{"name": "NODES", "value": nodes(REDIS, _NODES, settings.namespace, settings.domain)}]}


def _ping(at: int) -> list[str]:
    # By a variable, so that no password is in a command line, where every process of the node could read it.
    password = f'REDISCLI_AUTH="$(sed -n "s/^requirepass //p" {_AUTH_FOLDER}/auth.conf)"'
    return ["sh", "-c", f"{password} redis-cli -p {at} ping | grep -q PONG"]


def _claim(settings: Settings) -> Object:
    """With all that an API server would fill in, its status too: inside a list every difference shows."""
    own = settings.redis
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": own.storage}},
            "volumeMode": "Filesystem",
            **({"storageClassName": own.storage_class} if own.storage_class else {}),
        },
        "status": {"phase": "Pending"},
    }
