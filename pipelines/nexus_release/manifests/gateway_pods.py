"""The gateway's pods: how they start, are asked how they are, stop, and how many there are."""

from __future__ import annotations

from nexus_release.config import Settings
from nexus_release.manifests.console_checkout import beside, mounts, variables, volumes
from nexus_release.manifests.objects import NAME, Object, labels, made
from nexus_release.manifests.restricted import (
    container,
    from_config_map,
    from_secret,
    http_probe,
    pod,
    port,
    scratch,
    secret_variable,
    spread,
)

GATEWAY = "nexus-gateway"
PORT = 8000
PORT_NAME = "http"
ROUTES = "/etc/nexus/routes.d"
KEYS = "/etc/nexus/keys"
STATE = "/var/nexus/state"
SELECTOR = {NAME: GATEWAY}
_USER = 1000  # of gateway/Dockerfile
_STOP_SECONDS = 15  # what is owed to Redis and to the log, and a kubelet that is slow to say that it is time
_EVERY, _FAILURES = 5, 2  # of the readiness probe: drain_seconds is at least their product


def gateway_pods(settings: Settings, routes: str) -> dict[str, Object]:
    """{file: object}; empty where no image is named. `routes` is the ConfigMap with the route files."""
    own = settings.gateway
    if own.image is None:
        return {}
    objects = {
        "deployment.yaml": _deployment(own.image, routes, settings),
        "poddisruptionbudget.yaml": made(
            "policy/v1",
            "PodDisruptionBudget",
            GATEWAY,
            settings.namespace,
            app=GATEWAY,
            # One at a time holds for any number of pods; a `minAvailable` that is not below it stops every drain.
            spec={"maxUnavailable": 1, "selector": {"matchLabels": SELECTOR}},
        ),
        "serviceaccount.yaml": made(
            "v1", "ServiceAccount", GATEWAY, settings.namespace, app=GATEWAY, automountServiceAccountToken=False
        ),
    }
    return {**objects, "horizontalpodautoscaler.yaml": _autoscaler(settings)} if own.scales else objects


def _deployment(image: str, routes: str, settings: Settings) -> Object:
    own = settings.gateway
    spec = {
        # The autoscaler's own where there is one: a number here would undo it at every sync.
        **({} if own.scales else {"replicas": own.replicas.minimum}),
        "progressDeadlineSeconds": 600,
        "revisionHistoryLimit": 10,
        "selector": {"matchLabels": SELECTOR},
        # No pod goes before another is ready.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {"labels": labels(**SELECTOR)},
            "spec": pod(
                [_container(image, settings), *beside(settings.console.checkout)],
                account=GATEWAY,
                user=_USER,
                group=_USER,
                # No preStop: on SIGTERM the gateway itself says that it is not ready and goes on taking requests.
                stop_seconds=own.drain_seconds + own.grace_seconds + _STOP_SECONDS,
                topologySpreadConstraints=spread(SELECTOR),
                volumes=[
                    from_secret("keys", own.secrets.keys),
                    from_config_map("routes", routes),
                    scratch("state", "64Mi"),
                    scratch("tmp", "64Mi"),
                    *volumes(settings.console.checkout),
                ],
            ),
        },
    }
    return made("apps/v1", "Deployment", GATEWAY, settings.namespace, app=GATEWAY, spec=spec)


def _container(image: str, settings: Settings) -> Object:
    own = settings.gateway
    return container(
        "gateway",
        image,
        own.resources,
        # Folders, never subPath: a file that is mounted by itself does not follow its ConfigMap.
        {"keys": KEYS, "routes": ROUTES, "state": f"{STATE}!", "tmp": "/tmp!"}  # noqa: S108 - a path in the container, on a volume of its own
        | mounts(settings.console.checkout),
        command=["nexus-gateway", "serve"],
        args=[
            f"--routes={ROUTES}",
            f"--keys={KEYS}/keys.yaml",
            f"--state={STATE}",
            "--host=0.0.0.0",
            f"--port={PORT}",
        ],
        env=_environment(settings),
        ports=[port(PORT_NAME, PORT)],
        startupProbe=http_probe("/health", PORT_NAME, every=2, failures=60),
        readinessProbe=http_probe("/ready", PORT_NAME, every=_EVERY, failures=_FAILURES),
        livenessProbe=http_probe("/health", PORT_NAME, every=10, failures=6, timeout=5),
    )


def _environment(settings: Settings) -> list[Object]:
    own = settings.gateway
    told = {
        **own.variables,
        "GATEWAY_DRAIN_SECONDS": str(own.drain_seconds),
        "GATEWAY_GRACE_SECONDS": str(own.grace_seconds),
        **variables(settings.console.checkout),
    }
    secret = {name: (found.secret, found.key) for name, found in own.secret_variables.items()}
    if settings.redis.mode != "none":
        secret["GATEWAY_REDIS_URL"] = (settings.redis.secret, "url")
    named: dict[str, Object] = {
        **{name: {"name": name, "value": value} for name, value in told.items()},
        **{name: secret_variable(name, *place) for name, place in secret.items()},
    }
    return [named[name] for name in sorted(named)]


def _autoscaler(settings: Settings) -> Object:
    replicas = settings.gateway.replicas
    spec = {
        "minReplicas": replicas.minimum,
        "maxReplicas": replicas.maximum,
        "metrics": [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": replicas.cpu_percent},
                },
            }
        ],
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": GATEWAY},
    }
    return made("autoscaling/v2", "HorizontalPodAutoscaler", GATEWAY, settings.namespace, app=GATEWAY, spec=spec)
