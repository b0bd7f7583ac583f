"""Pods that pass the restricted Pod Security standard, with all that an API server would fill in.

Written out, since a default inside a list (a port's protocol, a probe's scheme) is a difference that Argo CD shows for
ever. What is the cluster's own to decide (a Service's address, a port of each node) is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nexus_release.gateway_settings import PodResources
from nexus_release.manifests.objects import Object

READ_ONLY = 0o444  # a file of a mounted Secret or ConfigMap, for whatever user the pod has


def pod(
    containers: Sequence[Object],
    *,
    account: str,
    user: int,
    group: int,
    stop_seconds: int,
    volumes: Sequence[Object],
    **more: object,
) -> Object:
    """A pod's spec. It has no token: nothing of ours in it asks the API server."""
    return {
        "automountServiceAccountToken": False,
        "containers": list(containers),
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": False,  # or every Service of the namespace is in its variables, NEXUS_GATEWAY_PORT too
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {
            "fsGroup": group,
            "fsGroupChangePolicy": "OnRootMismatch",
            "runAsGroup": group,
            "runAsNonRoot": True,
            "runAsUser": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "serviceAccountName": account,
        "terminationGracePeriodSeconds": stop_seconds,
        "volumes": list(volumes),
        **more,
    }


def container(name: str, image: str, resources: PodResources, mounts: Mapping[str, str], **more: object) -> Object:
    """`mounts`: volume -> folder in the container; those that hold what is written end in `!`."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": resources.model_dump(),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [_mount(volume, folder) for volume, folder in sorted(mounts.items())],
        **more,
    }


def port(name: str, number: int) -> Object:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def http_probe(path: str, port_name: str, *, every: int, failures: int, timeout: int = 1) -> Object:
    return _probe({"httpGet": {"path": path, "port": port_name, "scheme": "HTTP"}}, every, failures, timeout)


def exec_probe(command: Sequence[str], *, every: int, failures: int, timeout: int = 1) -> Object:
    return _probe({"exec": {"command": list(command)}}, every, failures, timeout)


def secret_variable(name: str, secret: str, key: str) -> Object:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def from_secret(volume: str, secret: str) -> Object:
    return {"name": volume, "secret": {"secretName": secret, "defaultMode": READ_ONLY}}


def from_config_map(volume: str, config_map: str) -> Object:
    return {"name": volume, "configMap": {"name": config_map, "defaultMode": READ_ONLY}}


def scratch(volume: str, size: str) -> Object:
    """Empty at the pod's start, gone with it."""
    return {"name": volume, "emptyDir": {"sizeLimit": size}}


def spread(app_labels: Mapping[str, str]) -> list[Object]:
    """Over zones and nodes, where there are several; a cluster of one node takes all of them."""
    return [
        {
            "labelSelector": {"matchLabels": dict(app_labels)},
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]


def _probe(action: Object, every: int, failures: int, timeout: int) -> Object:
    return {
        **action,
        "failureThreshold": failures,
        "periodSeconds": every,
        "successThreshold": 1,
        "timeoutSeconds": timeout,
    }


def _mount(volume: str, folder: str) -> Object:
    written = folder.endswith("!")
    return {"name": volume, "mountPath": folder.rstrip("!"), **({} if written else {"readOnly": True})}
