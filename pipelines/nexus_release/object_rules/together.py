"""Rules about objects that belong together: those of one environment, or of one built folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nexus_release.errors import BadInput
from nexus_release.manifests.objects import NAME
from nexus_release.manifests.scaling import refuse_two_scalers
from nexus_release.object_rules.pods import pods
from nexus_release.object_rules.rule import FolderRule, Object

_SCALED = ("Deployment", "StatefulSet", "Rollout")


def one_scaler(bodies: tuple[Object, ...]) -> Iterator[str]:
    try:
        refuse_two_scalers(bodies)
    except BadInput as error:
        yield str(error)


def replicas_said_once(bodies: tuple[Object, ...]) -> Iterator[str]:
    for body in bodies:
        if body["kind"] in _SCALED and "replicas" in body["spec"] and _autoscaler(bodies, body):
            yield f"{body['kind']} {_name(body)}: take replicas away, its autoscaler says them"


def drains_go_on(bodies: tuple[Object, ...]) -> Iterator[str]:
    for body in bodies:
        if body["kind"] != "PodDisruptionBudget":
            continue
        spec, least = body["spec"], _least_pods(bodies, body)
        stays = spec.get("minAvailable")
        if spec.get("maxUnavailable") in (0, "0%") or stays == "100%":
            yield f"PodDisruptionBudget {_name(body)}: no pod may ever go; say maxUnavailable: 1"
        elif isinstance(stays, int) and least is not None and stays >= least:
            yield f"PodDisruptionBudget {_name(body)}: minAvailable {stays} of {least} pods; say maxUnavailable: 1"


def services_find_pods(bodies: tuple[Object, ...]) -> Iterator[str]:
    """Where no pods of its application are rendered (an image that is not built yet) there is nothing to find."""
    workloads = [body for body in bodies if body["kind"] in _SCALED]
    for body in (one for one in bodies if one["kind"] == "Service"):
        selector: dict[str, Any] = body["spec"].get("selector") or {}
        own = [pod.labels for one in workloads if _application(one) == _application(body) for pod in pods(one)]
        if selector and own and not any(selector.items() <= labels.items() for labels in own):
            yield f"Service {_name(body)}: no pod of {_application(body)} has the labels {selector}"


FOLDER_RULES = (
    FolderRule("one-scaler", "two that set one number of pods fight for ever", one_scaler),
    FolderRule("replicas-said-once", "every sync undoes what the autoscaler did", replicas_said_once),
    FolderRule("drains-go-on", "no node can be drained, no update of the cluster ends", drains_go_on),
    FolderRule("services-find-pods", "its name leads nowhere", services_find_pods),
)


def _name(body: Object) -> str:
    return str(body["metadata"]["name"])


def _application(body: Object) -> str | None:
    return (body["metadata"].get("labels") or {}).get(NAME)


def _autoscaler(bodies: tuple[Object, ...], target: Object) -> Object | None:
    for body in bodies:
        if body["kind"] in ("HorizontalPodAutoscaler", "ScaledObject"):
            wanted = body["spec"]["scaleTargetRef"]
            same = wanted.get("kind", "Deployment") == target["kind"] and wanted["name"] == _name(target)
            if same and body["metadata"].get("namespace") == target["metadata"].get("namespace"):
                return body
    return None


def _least_pods(bodies: tuple[Object, ...], budget: Object) -> int | None:
    """Of the pods that a budget is for; None where they are of another folder."""
    chosen: dict[str, Any] = budget["spec"]["selector"].get("matchLabels", {})
    for body in bodies:
        if body["kind"] in _SCALED and any(chosen.items() <= pod.labels.items() for pod in pods(body)):
            scaler = _autoscaler(bodies, body)
            said = scaler["spec"] if scaler else {}
            return int(said.get("minReplicas", said.get("minReplicaCount", body["spec"].get("replicas", 1))))
    return None
