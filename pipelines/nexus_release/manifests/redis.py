"""Redis for the gateways: a pod with a volume.

It holds counters, answers for idempotency keys and notes of kept responses; what it loses is a minute of limits and a
few answers. So an append-only file that is written once a second is enough, and nothing is ever thrown out: where the
memory is full, writes are refused and each gateway counts for itself.
"""

from __future__ import annotations

from nexus_release.config import Settings
from nexus_release.kubernetes_values import memory_bytes
from nexus_release.manifests.external_secrets import external_secret
from nexus_release.manifests.gateway_doors import service
from nexus_release.manifests.objects import NAME, Object, labels, made
from nexus_release.manifests.restricted import container, exec_probe, from_config_map, from_secret, pod, port

REDIS = "nexus-redis"
PORT = 6379
_CONFIG = f"{REDIS}-config"
_CONFIG_FOLDER, _AUTH_FOLDER, _DATA_FOLDER = "/etc/redis/nexus", "/etc/redis/auth", "/data"
_SELECTOR = {NAME: REDIS}
_USER, _GROUP = 999, 1000  # of the official image on Alpine
_STOP_SECONDS = 30  # it writes its file and ends


def redis(settings: Settings) -> dict[str, Object]:
    """{file: object}; empty where gateways count for themselves, and no more than its Secret where it is external."""
    own = settings.redis
    objects: dict[str, Object] = {}
    store = settings.gateway.secrets.store
    if own.mode != "none" and store is not None:
        objects["externalsecret.yaml"] = external_secret(own.secret, REDIS, settings.namespace, store)
    if own.rendered and own.image is not None:
        objects |= {
            "configmap.yaml": made(
                "v1", "ConfigMap", _CONFIG, settings.namespace, app=REDIS, data={"redis.conf": redis_conf(settings)}
            ),
            "service.yaml": service(REDIS, REDIS, settings.namespace, {"redis": PORT}),
            "serviceaccount.yaml": made(
                "v1", "ServiceAccount", REDIS, settings.namespace, app=REDIS, automountServiceAccountToken=False
            ),
            "statefulset.yaml": _stateful_set(own.image, settings),
        }
    return objects


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
    spec = {
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "podManagementPolicy": "OrderedReady",
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "selector": {"matchLabels": _SELECTOR},
        "serviceName": REDIS,
        "template": {
            "metadata": {"labels": labels(**_SELECTOR)},
            "spec": pod(
                [_container(image, settings)],
                account=REDIS,
                user=_USER,
                group=_GROUP,
                stop_seconds=_STOP_SECONDS,
                volumes=[from_secret("auth", settings.redis.secret), from_config_map("config", _CONFIG)],
            ),
        },
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "volumeClaimTemplates": [_claim(settings)],
    }
    return made("apps/v1", "StatefulSet", REDIS, settings.namespace, app=REDIS, spec=spec)


def _container(image: str, settings: Settings) -> Object:
    # By a variable, so that no password is in a command line, where every process of the node could read it.
    password = f'REDISCLI_AUTH="$(sed -n "s/^requirepass //p" {_AUTH_FOLDER}/auth.conf)"'
    asked = ["sh", "-c", f"{password} redis-cli -p {PORT} ping | grep -q PONG"]
    return container(
        "redis",
        image,
        settings.redis.resources,
        {"auth": _AUTH_FOLDER, "config": _CONFIG_FOLDER, "data": f"{_DATA_FOLDER}!"},
        command=["redis-server", f"{_CONFIG_FOLDER}/redis.conf"],
        ports=[port("redis", PORT)],
        startupProbe=exec_probe(asked, every=2, failures=150, timeout=5),  # it reads its file first
        readinessProbe=exec_probe(asked, every=5, failures=2, timeout=5),
        livenessProbe=exec_probe(asked, every=10, failures=6, timeout=5),
    )


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
