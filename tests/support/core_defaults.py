"""What an API server fills into objects of Kubernetes' own kinds. Their OpenAPI names no defaults, so here is a table.

From Kubernetes' `pkg/apis/*/v1*/defaults.go`, 1.36: of the fields that Nexus renders, and their neighbours. Not in it:
what a cluster gives out (a Service's addresses, node ports), and `procMount`, which depends on a feature gate.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

Document = dict[str, Any]
Path = tuple[str, ...]
Default = Any | Callable[[Document], Any]
EACH = "*"
"""Every item of a list."""

_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def _pull_policy(container: Document) -> str:
    tag = container.get("image", "").partition("@")[0].rpartition("/")[2].partition(":")[2]
    return "Always" if tag == "latest" or (not tag and "@" not in container.get("image", "")) else "IfNotPresent"


def _policy_types(spec: Document) -> list[str]:
    return ["Ingress", "Egress"] if "egress" in spec else ["Ingress"]


def _of_container(path: Path) -> dict[Path, dict[str, Default]]:
    found: dict[Path, dict[str, Default]] = {
        path: {
            "imagePullPolicy": _pull_policy,
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "resources": {},
        },
        (*path, "ports", EACH): {"protocol": "TCP"},
        (*path, "env", EACH, "valueFrom", "fieldRef"): {"apiVersion": "v1"},
    }
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        found[(*path, probe)] = _PROBE
        found[(*path, probe, "httpGet")] = {"scheme": "HTTP", "path": "/"}
        found[(*path, probe, "grpc")] = {"service": ""}
    return found


def _of_pod(path: Path) -> dict[Path, dict[str, Default]]:
    return {
        path: {
            "dnsPolicy": "ClusterFirst",
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "terminationGracePeriodSeconds": 30,
            "enableServiceLinks": True,
        },
        (*path, "volumes", EACH, "configMap"): {"defaultMode": 0o644},
        (*path, "volumes", EACH, "secret"): {"defaultMode": 0o644},
        (*path, "volumes", EACH, "projected"): {"defaultMode": 0o644},
        **_of_container((*path, "containers", EACH)),
        **_of_container((*path, "initContainers", EACH)),
    }


_CLAIM: dict[str, Default] = {"volumeMode": "Filesystem"}
_TEMPLATE: Path = ("spec", "template", "spec")
_BOTH_PORTS: dict[Path, dict[str, Default]] = {
    ("spec", way, EACH, "ports", EACH): {"protocol": "TCP"} for way in ("ingress", "egress")
}
DEFAULTS: dict[str, dict[Path, dict[str, Default]]] = {
    "Deployment": {
        ("spec",): {
            "replicas": 1,
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate"},
        },
        ("spec", "strategy"): {
            "type": "RollingUpdate",
            "rollingUpdate": lambda strategy: {} if strategy["type"] == "RollingUpdate" else None,
        },
        ("spec", "strategy", "rollingUpdate"): {"maxSurge": "25%", "maxUnavailable": "25%"},
        **_of_pod(_TEMPLATE),
    },
    "StatefulSet": {
        ("spec",): {
            "replicas": 1,
            "revisionHistoryLimit": 10,
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate"},
            "persistentVolumeClaimRetentionPolicy": {},
        },
        ("spec", "updateStrategy"): {
            "type": "RollingUpdate",
            "rollingUpdate": lambda strategy: {} if strategy["type"] == "RollingUpdate" else None,
        },
        ("spec", "updateStrategy", "rollingUpdate"): {"partition": 0},
        ("spec", "persistentVolumeClaimRetentionPolicy"): {"whenDeleted": "Retain", "whenScaled": "Retain"},
        ("spec", "volumeClaimTemplates", EACH): {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {}},
        ("spec", "volumeClaimTemplates", EACH, "spec"): _CLAIM,
        ("spec", "volumeClaimTemplates", EACH, "status"): {"phase": "Pending"},
        **_of_pod(_TEMPLATE),
    },
    "Service": {
        ("spec",): {
            "sessionAffinity": "None",
            "type": "ClusterIP",
            "internalTrafficPolicy": "Cluster",
            "externalTrafficPolicy": lambda spec: None if spec.get("type", "ClusterIP") == "ClusterIP" else "Cluster",
            "allocateLoadBalancerNodePorts": lambda spec: True if spec.get("type") == "LoadBalancer" else None,
        },
        ("spec", "ports", EACH): {"protocol": "TCP", "targetPort": lambda port: port["port"]},
    },
    "HorizontalPodAutoscaler": {
        ("spec",): {
            "minReplicas": 1,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
                }
            ],
        }
    },
    "NetworkPolicy": {("spec",): {"policyTypes": _policy_types}, **_BOTH_PORTS},
    "PersistentVolumeClaim": {("spec",): _CLAIM},
    "ConfigMap": {},
    "Ingress": {},
    "Namespace": {},
    "PodDisruptionBudget": {},
    "ServiceAccount": {},
}
"""Kind -> path -> field -> what it becomes, where its parent is there and it is not; None where it stays away."""

OTHERS_OWN: dict[str, set[Path]] = {
    "Deployment": {("spec", "replicas")},  # where an autoscaler says it, Git must not
}
"""Kind -> what may be left out, since somebody else says it."""


def core_defaulted(document: Document) -> Document:
    """As an API server stores it. Raises KeyError for a kind that the table does not know."""
    filled = copy.deepcopy(document)
    for path, fields in DEFAULTS[document["kind"]].items():
        for place in places(filled, path):
            for field, default in fields.items():
                if field not in place and (*path, field) not in OTHERS_OWN.get(document["kind"], set()):
                    value = default(place) if callable(default) else copy.deepcopy(default)
                    if value is not None:
                        place[field] = value
    return filled


def places(value: Any, path: Path) -> Iterator[Document]:
    """Every mapping at `path`."""
    if not path:
        if isinstance(value, dict):
            yield value
    elif path[0] == EACH:
        for item in value if isinstance(value, list) else ():
            yield from places(item, path[1:])
    elif isinstance(value, dict) and path[0] in value:
        yield from places(value[path[0]], path[1:])
