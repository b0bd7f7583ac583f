"""The rules that every object is held to, one table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from nexus_release.manifests.objects import PREFIX
from nexus_release.object_rules.pods import RUNTIMES, SERVING, WORKFLOW, pods
from nexus_release.object_rules.quantities import amount
from nexus_release.object_rules.rule import Object, Rule

NEEDS_TOKEN = PREFIX + "needs-token"
"""Annotation: why pods of this object may have a token of the API server."""
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_CREDENTIAL = re.compile(r"(KEY|TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIALS?|SALT)$", re.IGNORECASE)
_NO_CREDENTIAL = frozenset({"NEXUS_TRUSTED_KEYS"})  # public keys
_WITH_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_HOST = ("hostNetwork", "hostPID", "hostIPC")


def image_by_digest(body: Object) -> Iterator[str]:
    for pod in pods(body):
        for container in pod.every_container:
            if not _DIGEST.search(container.get("image", "")):
                yield f"image {container.get('image', 'of nobody')!r}: name it as repository:tag@sha256:..."


def image_not_latest(body: Object) -> Iterator[str]:
    for pod in pods(body):
        for container in pod.every_container:
            image = container.get("image", "")
            tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
            if image and not _DIGEST.search(image) and tag in ("", "latest"):
                yield f"image {image!r}: `latest` is another one tomorrow; name a tag, better a digest"


def resources_set(body: Object) -> Iterator[str]:
    for pod in pods(body):
        if pod.kind in RUNTIMES:  # each InferenceService says them, for its own model
            continue
        for container in pod.every_container:
            for side in ("requests", "limits"):
                amounts = (container.get("resources") or {}).get(side) or {}
                for what in ("cpu", "memory"):
                    if what not in amounts:
                        yield f"container {container['name']}: set resources.{side}.{what}"


def model_resources_set(body: Object) -> Iterator[str]:
    if body["kind"] == "InferenceService" and (model := body["spec"]["predictor"].get("model")):
        for side in ("requests", "limits"):
            for what in ("cpu", "memory"):
                if what not in ((model.get("resources") or {}).get(side) or {}):
                    yield f"predictor.model: set resources.{side}.{what}"


def request_within_limit(body: Object) -> Iterator[str]:
    models = [body["spec"]["predictor"].get("model")] if body["kind"] == "InferenceService" else []
    for container in chain((one for pod in pods(body) for one in pod.every_container), (one for one in models if one)):
        resources = container.get("resources") or {}
        limits = resources.get("limits") or {}
        for what, asked in (resources.get("requests") or {}).items():
            most, least = amount(limits[what]) if what in limits else None, amount(asked)
            if most is not None and least is not None and least > most:
                yield f"asks for {asked} {what} and may have {limits[what]}: raise the limit, or ask for less"


def not_root(body: Object) -> Iterator[str]:
    for pod in pods(body):
        for container in pod.every_container:
            if pod.secured(container, "runAsNonRoot") is not True or pod.secured(container, "runAsUser") == 0:
                yield f"container {container['name']}: set runAsNonRoot: true, and no runAsUser: 0"


def no_more_rights(body: Object) -> Iterator[str]:
    for pod in pods(body):
        for container in pod.every_container:
            own = container.get("securityContext") or {}
            if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
                yield f"container {container['name']}: set allowPrivilegeEscalation: false, and never privileged"
            if "ALL" not in ((own.get("capabilities") or {}).get("drop") or ()):
                yield f"container {container['name']}: set capabilities: {{drop: [ALL]}}"
            if (pod.secured(container, "seccompProfile") or {}).get("type") not in ("RuntimeDefault", "Localhost"):
                yield f"container {container['name']}: set seccompProfile: {{type: RuntimeDefault}}"


def read_only_root(body: Object) -> Iterator[str]:
    for pod in pods(body):
        for container in pod.every_container:
            if (container.get("securityContext") or {}).get("readOnlyRootFilesystem") is not True:
                yield f"container {container['name']}: set readOnlyRootFilesystem: true, and mount what it writes to"


def no_secret_values(body: Object) -> Iterator[str]:
    if body["kind"] == "Secret" and (body.get("data") or body.get("stringData")):
        yield "its values would be in Git for ever: make it in the cluster, or by an ExternalSecret"
    for pod in pods(body):
        for container in pod.every_container:
            for variable in container.get("env") or ():
                name, value = variable["name"], variable.get("value") or ""
                named = bool(_CREDENTIAL.search(name)) and name not in _NO_CREDENTIAL
                if value and (named or _WITH_PASSWORD.search(value)):
                    yield f"variable {name} of {container['name']}: give it by secretKeyRef"


def nothing_of_the_host(body: Object) -> Iterator[str]:
    for pod in pods(body):
        yield from (f"take {field} away" for field in _HOST if pod.spec.get(field))
        for volume in pod.spec.get("volumes") or ():
            if "hostPath" in volume:
                yield f"volume {volume['name']}: a hostPath is the node's own; take a claim or an emptyDir"
        for container in pod.every_container:
            if any("hostPort" in port for port in container.get("ports") or ()):
                yield f"container {container['name']}: take hostPort away, a Service finds the pod"


def no_token(body: Object) -> Iterator[str]:
    if (body["metadata"].get("annotations") or {}).get(NEEDS_TOKEN):
        return
    for pod in pods(body):
        if pod.kind == WORKFLOW:  # Argo's executor has a token of its own; the step's is its account's
            if pod.spec.get("serviceAccountName", "default") == "default":
                yield "name a serviceAccountName of its own, whose automountServiceAccountToken is false"
        # A runtime's pods get it from their InferenceService.
        elif pod.kind not in RUNTIMES and pod.spec.get("automountServiceAccountToken") is not False:
            yield f"set automountServiceAccountToken: false, or say why not in the annotation {NEEDS_TOKEN}"
    if body["kind"] == "ServiceAccount" and body.get("automountServiceAccountToken") is not False:
        yield f"set automountServiceAccountToken: false, or say why not in the annotation {NEEDS_TOKEN}"
    if (
        body["kind"] == "InferenceService"
        and body["spec"]["predictor"].get("automountServiceAccountToken") is not False
    ):
        yield "predictor: set automountServiceAccountToken: false"


def probes_present(body: Object) -> Iterator[str]:
    if body["kind"] in SERVING:
        for pod in pods(body):
            for container in pod.containers:
                for probe in ("readinessProbe", "livenessProbe"):
                    if probe not in container:
                        yield f"container {container['name']}: give it a {probe}"


def selector_matches(body: Object) -> Iterator[str]:
    if body["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
        wanted = (body["spec"].get("selector") or {}).get("matchLabels") or {}
        for pod in pods(body):
            if not wanted or not wanted.items() <= pod.labels.items():
                yield f"selector {dict(wanted)} does not choose its own pods, labelled {dict(pod.labels)}"


RULES = (
    Rule("image-by-digest", "a tag is moved, and what was tested is not what runs", image_by_digest),
    Rule("image-not-latest", "two pods of one commit run different code", image_not_latest),
    Rule("resources-set", "one pod takes the node from all others, and the scheduler plans blindly", resources_set),
    Rule("model-resources-set", "KServe fills them in from its ConfigMap (1 CPU, 2Gi)", model_resources_set),
    Rule("request-within-limit", "an API server refuses it", request_within_limit),
    Rule("not-root", "Pod Security `restricted` refuses the pod; a break-out would be root's", not_root),
    Rule("no-more-rights", "the same, by setuid programs, capabilities and system calls", no_more_rights),
    Rule("read-only-root", "what breaks in can change the program", read_only_root),
    Rule("no-secret-values", "who reads the repository has it, and history keeps it", no_secret_values),
    Rule("nothing-of-the-host", "a pod reaches the node, and other tenants by it", nothing_of_the_host),
    Rule("no-token", "what breaks in asks the API server in the pod's name", no_token),
    Rule("probes-present", "requests go to pods that cannot answer, and hung ones stay", probes_present),
    Rule("selector-matches", "an API server refuses it", selector_matches),
)
