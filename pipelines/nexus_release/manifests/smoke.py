"""The Job that asks the gateway for every model after Argo CD has synced its routes.

A PostSync hook of the gateway's Application: where it fails the sync has failed, and `nexus status` says so; what runs
goes on running. It knows what must be served without asking Git: the routes' ConfigMap, which was synced before it, is
mounted, and the revision is the digest of its bytes. It is not in the Job's arguments: every pull request would change
that line, and two of them would meet there.
"""

from __future__ import annotations

from nexus_release.config import Settings
from nexus_release.gateway_settings import Amounts, PodResources
from nexus_release.manifests.gateway_doors import REPLICAS
from nexus_release.manifests.gateway_pods import PORT, ROUTES
from nexus_release.manifests.network import ASKS_GATEWAY
from nexus_release.manifests.objects import NAME, Object, labels
from nexus_release.manifests.restricted import container, from_config_map, pod, scratch, secret_variable
from nexus_release.pods import USER

SMOKE = "nexus-smoke"
KEY = "NEXUS_GATEWAY_KEY"
_AMOUNTS = PodResources(
    requests=Amounts(cpu="100m", memory="256Mi"), limits=Amounts(cpu="1", memory="512Mi")
)  # Python, and an answer of a few tokens at a time
_WITHIN = (
    240  # seconds until every replica has read its ConfigMap: a kubelet looks once a minute, and caches for another
)
_SECONDS = 1800  # of the whole Job: hundreds of models at a few seconds each
_TRIES = 1  # more, for a pod that lost its node; a model that fails once is told


def smoke(settings: Settings, routes: str) -> dict[str, Object]:
    """{file: Job}; empty where no image is named. `routes` is the ConfigMap with the route files."""
    image = settings.pods.images.release
    if image is None:
        return {}
    own = labels(**{NAME: SMOKE}, **ASKS_GATEWAY)
    gateway = f"http://{REPLICAS}.{settings.namespace}.{settings.domain}:{PORT}"
    asking = container(
        "smoke",
        image,
        _AMOUNTS,
        {"routes": ROUTES, "tmp": "/tmp!"},  # noqa: S108 - a path in the container, on a volume of its own
        command=["nexus", "smoke"],
        args=[f"--routes={ROUTES}", f"--within={_WITHIN}"],
        env=[
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - as above
            {"name": "NEXUS_GATEWAY", "value": gateway},
            secret_variable(KEY, settings.gateway.secrets.probe, KEY),
        ],
    )
    spec = pod(
        [asking],
        account="default",  # it has no token in any case
        user=USER,
        group=USER,
        stop_seconds=5,
        volumes=[from_config_map("routes", routes), scratch("tmp", "16Mi")],
        restartPolicy="Never",
    )
    job: Object = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": SMOKE,
            "namespace": settings.namespace,
            "labels": labels(**{NAME: SMOKE}),
            "annotations": {
                "argocd.argoproj.io/hook": "PostSync",
                # What failed stays to be read until the next sync.
                "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation,HookSucceeded",
            },
        },
        "spec": {
            "activeDeadlineSeconds": _SECONDS,
            "backoffLimit": _TRIES,
            "template": {"metadata": {"labels": own}, "spec": spec},
        },
    }
    return {"smoke.yaml": job}
