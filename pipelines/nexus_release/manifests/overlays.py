"""`gitops/overlays/`: small, whole installations, each by one `kubectl apply -k`, without KServe, Argo CD or a release.

`gateway` is what they share: the gateway with its doors, Redis, policies, and one route, `chat`, to the Service
`model-worker`. Each of the others adds the worker's pods. They follow from environments/base.yaml and from what stands
here. Images of ours have their plain names, which kustomize's `images` replaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_release.capacity.target import Runtime
from nexus_release.config import Settings, base_settings
from nexus_release.documents import yaml_text
from nexus_release.manifests.engines import ENGINES, PORT
from nexus_release.manifests.gateway import CONFIG_MAP, ROUTES_FOLDER
from nexus_release.manifests.gateway_doors import LOAD_BALANCER, gateway_doors
from nexus_release.manifests.gateway_pods import GATEWAY, SELECTOR, gateway_pods
from nexus_release.manifests.gateway_pods import PORT as GATEWAY_PORT
from nexus_release.manifests.namespace import namespace
from nexus_release.manifests.network import network
from nexus_release.manifests.objects import NAME, Object, application, labels, made
from nexus_release.manifests.peers import rules, tcp
from nexus_release.manifests.redis import redis
from nexus_release.manifests.restricted import pod
from nexus_release.manifests.runtimes import engine_container, engine_volumes, gpu_nodes
from nexus_release.manifests.scaling import SERVICE, refuse_two_scalers
from nexus_release.pod_settings import Peer
from nexus_release.pods import USER

OVERLAYS = "overlays"
"""Folder beside the environments' in `gitops/`."""
WORKER = "model-worker"
ROUTE = "chat"
LOCAL_TAG = "local"
"""What an image of ours is built under, for a cluster into which it is loaded, as kind."""
_OURS: dict[Runtime, str] = {"nexus-worker": "nexus-worker", "nexus-bentoml": "nexus-bentoml"}
_SHARED = "gateway"
_OVER: Mapping[str, Any] = {
    "cache": {"size": "40Gi"},  # the model is fetched into it
    "gateway": {"replicas": {"minimum": 1, "maximum": 3}, "watching": {"operator": False}},
}
_HUB = "nexus-hub"
_CPU_PERCENT = 70
_STOP_SECONDS = 60


@dataclass(frozen=True)
class Worker:
    """The pods of one overlay."""

    runtime: Runtime
    arguments: tuple[str, ...]
    cpu: str
    memory: str
    model: str | None = None
    """On the hub, in the variable MODEL_ID; None where the engine needs none."""

    @property
    def on_gpu(self) -> bool:
        return self.model is not None


_LISTENS = ("--host=0.0.0.0", f"--port={PORT}")
_MODEL = "Qwen/Qwen2.5-7B-Instruct"  # open, and 16 GB: it fits the smallest GPU of 24
WORKERS: Mapping[str, Worker] = {
    "mock": Worker(
        "nexus-worker",
        (*_LISTENS, "--engine=mock", f"--served-model-name={ROUTE}", "--enable-force-include-usage"),
        cpu="1",
        memory="512Mi",
    ),
    "gpu": Worker(
        "nexus-vllm",
        (
            f"--served-model-name={ROUTE}",
            "--enable-force-include-usage",
            "--max-model-len=4096",
            "--max-num-seqs=32",
            "--gpu-memory-utilization=0.9",
        ),
        cpu="4",
        memory="32Gi",
        model=_MODEL,
    ),
    "gpu/sglang": Worker(
        "nexus-sglang",
        (
            f"--served-model-name={ROUTE}",
            "--stream-response-default-include-usage",
            "--context-length=4096",
            "--max-running-requests=32",
        ),
        cpu="4",
        memory="32Gi",
        model=_MODEL,
    ),
    "bentoml": Worker(
        "nexus-bentoml",
        (*_LISTENS, "--arg=engine=mock", f"--arg=served_model_name={ROUTE}"),
        cpu="1",
        memory="1Gi",
    ),
}


def overlays(root: Path) -> dict[str, str]:
    """{path under the repository's root: text}, sorted by path. Raises BadInput or Missing."""
    settings = _named(base_settings(root, _OVER))
    top = f"gitops/{OVERLAYS}"
    shared = _shared(settings)
    files = {f"{top}/{_SHARED}/{ROUTES_FOLDER}/{ROUTE}.yaml": yaml_text(_route(settings))}
    files |= application(f"{top}/{_SHARED}", shared, configMapGenerator=[_routes(settings)], images=[_local(GATEWAY)])
    for name, worker in WORKERS.items():
        objects = _pods(worker, settings)
        refuse_two_scalers([*shared.values(), *objects.values()])
        up = "../" * (name.count("/") + 1)
        ours = {"images": [_local(_OURS[worker.runtime])]} if worker.runtime in _OURS else {}
        files |= application(f"{top}/{name}", objects, [f"{up}{_SHARED}"], **ours)
    return dict(sorted(files.items()))


def _named(settings: Settings) -> Settings:
    """With the plain names of our images, which no settings file could hold: they are no digests."""
    images = {**settings.engine_images, **_OURS}
    gateway = settings.gateway.model_copy(update={"image": GATEWAY})
    return settings.model_copy(update={"engine_images": images, "gateway": gateway})


def _local(image: str) -> Object:
    return {"name": image, "newTag": LOCAL_TAG}


def _shared(settings: Settings) -> dict[str, Object]:
    """Both doors: where no load balancer is given an address, it waits, and the Ingress answers."""
    door = settings.model_copy(update={"gateway": settings.gateway.model_copy(update={"expose": "load-balancer"})})
    return {
        "namespace.yaml": namespace(settings.namespace),
        **gateway_pods(settings, CONFIG_MAP),
        **gateway_doors(settings),
        "service-lb.yaml": gateway_doors(door)["service-lb.yaml"],
        **{f"redis-{name}": body for name, body in redis(settings).items()},
        **{f"networkpolicy-{name}": body for name, body in network(settings).items()},
        "networkpolicy-gateway-lb.yaml": _let_in(settings),
        "service-model-worker.yaml": _service(settings),
        "serviceaccount-model-worker.yaml": made(
            "v1", "ServiceAccount", WORKER, settings.namespace, app=WORKER, automountServiceAccountToken=False
        ),
    }


def _let_in(settings: Settings) -> Object:
    """Whom the load balancer lets in, beside those whom the gateway's own policy does."""
    sources = [{"ipBlock": {"cidr": cidr}} for cidr in settings.gateway.load_balancer.sources]
    spec = {
        "podSelector": {"matchLabels": SELECTOR},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": sources, "ports": tcp(GATEWAY_PORT)}],
    }
    return made("networking.k8s.io/v1", "NetworkPolicy", LOAD_BALANCER, settings.namespace, app=GATEWAY, spec=spec)


def _service(settings: Settings) -> Object:
    spec = {
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http1"}],
        "selector": {NAME: WORKER},
        "type": "ClusterIP",
    }
    return made("v1", "Service", WORKER, settings.namespace, app=WORKER, spec=spec)


def _route(settings: Settings) -> Object:
    url = f"http://{WORKER}.{settings.namespace}.{settings.domain}"
    return {
        "upstreams": {WORKER: {"url": url, "apis": ["chat", "completions"]}},
        "routes": {
            ROUTE: {"strategy": "direct", "upstream": WORKER, "timeouts": settings.timeouts.model_dump()},
        },
    }


def _routes(settings: Settings) -> Object:
    return {
        "name": CONFIG_MAP,
        "namespace": settings.namespace,
        "files": [f"{ROUTES_FOLDER}/{ROUTE}.yaml"],
        "options": {"disableNameSuffixHash": True},
    }


def _pods(worker: Worker, settings: Settings) -> dict[str, Object]:
    chosen = settings.model_copy(update={"runtime": worker.runtime, "hub_token": _HUB if worker.model else None})
    objects = {"deployment.yaml": _deployment(worker, chosen)}
    if worker.on_gpu:
        # Beside the policy of all engines, which lets them reach nobody.
        return {**objects, "networkpolicy.yaml": _may_fetch(chosen)}
    return {**objects, "horizontalpodautoscaler.yaml": _autoscaler(chosen)}


def _deployment(worker: Worker, settings: Settings) -> Object:
    engine = ENGINES[worker.runtime]
    amounts = {"cpu": worker.cpu, "memory": worker.memory, **({"nvidia.com/gpu": "1"} if worker.on_gpu else {})}
    container = engine_container(
        "worker",
        engine,
        settings,
        [{"name": "MODEL_ID", "value": worker.model}] if worker.model else [],
        args=[*(engine.listens("$(MODEL_ID)", PORT) if worker.model else ()), *worker.arguments],
        imagePullPolicy="IfNotPresent",
        resources={"limits": amounts, "requests": amounts},
    )
    marks = {NAME: WORKER, SERVICE: WORKER}  # the second, so that the policies of engines are for it
    spec = {
        **({"replicas": 1} if worker.on_gpu else {}),
        "selector": {"matchLabels": {NAME: WORKER}},
        "strategy": {"type": "Recreate"} if worker.on_gpu else {"type": "RollingUpdate"},
        "template": {
            "metadata": {"labels": labels(**marks)},
            "spec": pod(
                [container],
                account=WORKER,
                user=USER,
                group=USER,
                stop_seconds=_STOP_SECONDS,
                volumes=engine_volumes(settings),
                **(gpu_nodes(settings) if worker.on_gpu else {}),
            ),
        },
    }
    return made("apps/v1", "Deployment", WORKER, settings.namespace, app=WORKER, spec=spec)


def _autoscaler(settings: Settings) -> Object:
    target = {"type": "Utilization", "averageUtilization": _CPU_PERCENT}
    spec = {
        "minReplicas": 1,
        "maxReplicas": 3,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": WORKER},
    }
    return made("autoscaling/v2", "HorizontalPodAutoscaler", WORKER, settings.namespace, app=WORKER, spec=spec)


def _may_fetch(settings: Settings) -> Object:
    spec = {
        "podSelector": {"matchLabels": {NAME: WORKER}},
        "policyTypes": ["Egress"],
        "egress": rules([Peer(cidr="0.0.0.0/0", ports=(443,))]),
    }
    name = f"{WORKER}-fetches"
    return made("networking.k8s.io/v1", "NetworkPolicy", name, settings.namespace, app=WORKER, spec=spec)
