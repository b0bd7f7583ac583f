"""Who may ask Kubernetes' API for what: nobody but Argo's own containers, and whoever submits releases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nexus_hera.containers import EXECUTOR, account
from nexus_hera.workflow import RELEASE, RELEASE_OF_A_FILE
from nexus_release.manifests.objects import Object, labels

SUBMITTER = "release-submitter"
"""Account of what submits a release and follows it: Airflow."""

_RBAC = "rbac.authorization.k8s.io"
_ARGO = "argoproj.io"

# A step loads what others have made, and so has no token: with the executor's it could report a gate's yes.
_EXECUTOR_RULES = [{"apiGroups": [_ARGO], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}]
# As Argo's server uses them in the caller's name: submit, look, retry (which deletes the pods that failed), terminate.
_SUBMITTER_RULES = [
    {
        "apiGroups": [_ARGO],
        "resources": ["workflowtemplates"],
        "resourceNames": [RELEASE, RELEASE_OF_A_FILE],
        "verbs": ["get"],
    },
    {"apiGroups": [_ARGO], "resources": ["workflows"], "verbs": ["create", "get", "patch", "update"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]},
]


def access(commands: Iterable[str], namespace: str) -> dict[str, Object]:
    """By file."""
    accounts = [*map(account, commands), EXECUTOR, SUBMITTER]
    return {
        **{f"serviceaccount-{name}.yaml": _account(name, namespace) for name in accounts},
        f"secret-{EXECUTOR}.yaml": _token(EXECUTOR, namespace),
        **_granted(EXECUTOR, _EXECUTOR_RULES, namespace),
        **_granted(SUBMITTER, _SUBMITTER_RULES, namespace),
    }


def _account(name: str, namespace: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(name, namespace),
        "automountServiceAccountToken": False,
    }


def _token(name: str, namespace: str) -> Object:
    """Argo mounts it by this name into its own containers of a pod that has no token besides. Kubernetes fills it."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            **_metadata(f"{name}.service-account-token", namespace),
            "annotations": {"kubernetes.io/service-account.name": name},
        },
    }


def _granted(name: str, rules: Sequence[Mapping[str, object]], namespace: str) -> dict[str, Object]:
    role: Object = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "Role",
        "metadata": _metadata(name, namespace),
        "rules": list(rules),
    }
    binding: Object = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(name, namespace),
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    return {f"role-{name}.yaml": role, f"rolebinding-{name}.yaml": binding}


def _metadata(name: str, namespace: str) -> Object:
    return {"name": name, "namespace": namespace, "labels": labels()}
