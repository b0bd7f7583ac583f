"""A namespace in which pods may do as little as pods can."""

from __future__ import annotations

from nexus_release.manifests.objects import Object, labels, wave

_LEVEL = "restricted"  # the strictest Pod Security standard; the runtimes are written to pass it


def namespace(name: str) -> Object:
    security = {f"pod-security.kubernetes.io/{mode}": _LEVEL for mode in ("audit", "enforce", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {**labels(), **security},
            # Pruning a namespace deletes all that is in it, volumes with models too.
            "annotations": {**wave("Namespace"), "argocd.argoproj.io/sync-options": "Prune=false"},
        },
    }
