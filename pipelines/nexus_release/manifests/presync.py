"""The Job that proves a release on the volume before Argo CD syncs its InferenceService.

A PreSync hook: where it fails, nothing of the Application is synced, and what runs goes on running. It has no token
and no network to ask; keys stand in it, since they are public and a ConfigMap would be synced after it.
"""

from __future__ import annotations

from collections.abc import Sequence

from nexus_release.config import Settings
from nexus_release.errors import BadInput
from nexus_release.manifests.objects import MODEL, RELEASE, Object, labels
from nexus_release.names import model_slug, service_name
from nexus_release.pods import USER, image_of
from nexus_release.record import Content, release_id
from nexus_release.trust.keys import PublicKey
from nexus_release.trust.statement import statement_digest

_STORE = "/mnt/store"
_AMOUNTS = {"cpu": "1", "memory": "512Mi"}  # it hashes a block of 1 MiB at a time, however large the model
_TRIES = 2  # more, for a volume that does not mount at once; a signature does not get better
_SECONDS = 2 * 3600  # a model of 1 TB from a volume that gives 150 MB a second


def presync(content: Content, settings: Settings, keys: Sequence[PublicKey]) -> dict[str, Object]:
    """{file name: Job}; empty where engines are processes of this machine, or the environment checks no signatures."""
    if settings.image is None or settings.signatures.accept != "trusted":
        return {}
    name = f"{service_name(content.model, release_id(content))}-verify"
    return {f"{name}.yaml": _job(name, content, settings, keys)}


def _job(name: str, content: Content, settings: Settings, keys: Sequence[PublicKey]) -> Object:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": settings.namespace,
            "labels": labels(**{MODEL: model_slug(content.model)}),
            "annotations": {
                "argocd.argoproj.io/hook": "PreSync",
                # What failed stays to be read until the next sync.
                "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation,HookSucceeded",
                MODEL: content.model,
                RELEASE: release_id(content),
            },
        },
        "spec": {
            "activeDeadlineSeconds": _SECONDS,
            "backoffLimit": _TRIES,
            "template": {
                "metadata": {"labels": labels(**{MODEL: model_slug(content.model)})},
                "spec": {
                    "automountServiceAccountToken": False,
                    "containers": [_container(content, settings, keys)],
                    "enableServiceLinks": False,
                    "restartPolicy": "Never",
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": USER,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "volumes": [
                        {
                            "name": "store",
                            "persistentVolumeClaim": {"claimName": _claim(settings)[0], "readOnly": True},
                        },
                        {"name": "tmp", "emptyDir": {}},
                    ],
                },
            },
        },
    }


def _container(content: Content, settings: Settings, keys: Sequence[PublicKey]) -> Object:
    _, folder = _claim(settings)
    return {
        "name": "verify",
        "image": image_of("release", settings),
        "command": ["nexus", "prove"],
        "args": [
            f"--release={release_id(content)}",
            f"--statement={statement_digest(content)}",
            f"--store={_STORE}",
        ],
        "env": [
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - a path in the container, on a volume of its own
            {"name": "NEXUS_TRUSTED_KEYS", "value": "".join(key.pem for key in keys)},
        ],
        "resources": {"limits": _AMOUNTS, "requests": _AMOUNTS},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            {"name": "store", "mountPath": _STORE, "readOnly": True, **({"subPath": folder} if folder else {})},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - as above
        ],
    }


def _claim(settings: Settings) -> tuple[str, str]:
    """(claim, folder on its volume) of `artifacts`."""
    scheme, _, rest = settings.artifacts.partition("://")
    if scheme != "pvc":
        raise BadInput(
            "artifacts", settings.artifacts, "signatures are proved on a volume: give pvc://, or accept: unchecked"
        )
    claim, _, folder = rest.partition("/")
    return claim, folder
