"""The pods that an object makes, whatever its kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nexus_release.object_rules.rule import Object

RUNTIMES = ("ServingRuntime", "ClusterServingRuntime")
LLM = ("LLMInferenceService", "LLMInferenceServiceConfig")
SERVING = ("Deployment", "StatefulSet", "DaemonSet", "Rollout", *RUNTIMES, *LLM)
"""Kinds whose pods answer somebody for as long as they run."""
WORKFLOW = "Workflow"
"""Of pods that Argo Workflows makes."""
_TEMPLATED = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout", "Job")
_WORKFLOWS = (WORKFLOW, "WorkflowTemplate", "ClusterWorkflowTemplate")


@dataclass(frozen=True)
class Pod:
    kind: str
    """Of the object that makes it."""
    labels: Object
    spec: Object

    @property
    def containers(self) -> tuple[Object, ...]:
        return tuple(self.spec.get("containers") or ())

    @property
    def every_container(self) -> tuple[Object, ...]:
        """Those that come first, too."""
        return (*(self.spec.get("initContainers") or ()), *self.containers)

    def secured(self, container: Object, field: str) -> Any:
        """A field of the container's security context, or of its pod's where the container says nothing."""
        for context in (container.get("securityContext") or {}, self.spec.get("securityContext") or {}):
            if field in context:
                return context[field]
        return None


def pods(body: Object) -> Iterator[Pod]:
    """Of an InferenceService there is none where its container is its runtime's."""
    kind, spec = body["kind"], body.get("spec") or {}
    if kind == "Pod":
        yield Pod(kind, body["metadata"].get("labels") or {}, spec)
    elif kind in _TEMPLATED and "template" in spec:
        yield _templated(kind, spec["template"])
    elif kind == "CronJob":
        yield _templated("Job", spec["jobTemplate"]["spec"]["template"])
    elif kind in RUNTIMES:
        yield Pod(kind, {}, spec)
    elif kind == "InferenceService" and (spec.get("predictor") or {}).get("containers"):
        yield Pod(kind, {}, spec["predictor"])
    elif kind in LLM:
        yield from _of_llm(kind, spec)
    elif kind in _WORKFLOWS:
        yield from _of_workflow(spec)
    elif kind == "CronWorkflow":
        yield from _of_workflow(spec.get("workflowSpec") or {})


def _templated(kind: str, template: Object) -> Pod:
    return Pod(kind, (template.get("metadata") or {}).get("labels") or {}, template.get("spec") or {})


def _of_llm(kind: str, spec: Object) -> Iterator[Pod]:
    """Pods of each part, where the object says them itself: each `template` is a pod's spec."""
    router = (spec.get("router") or {}).get("scheduler") or {}
    for part in (spec, spec.get("prefill") or {}):
        for name in ("template", "worker"):
            if part.get(name):
                yield Pod(kind, part.get("labels") or {}, part[name])
    if router.get("template"):
        yield Pod(kind, router.get("labels") or {}, router["template"])


def _of_workflow(spec: Object) -> Iterator[Pod]:
    """A template of an Argo Workflow is a pod of one container; what the workflow says holds for all of them."""
    said = ("securityContext", "automountServiceAccountToken", "serviceAccountName", "volumes", "initContainers")
    for template in spec.get("templates") or ():
        if "container" in template:
            shared, own = ({key: part[key] for key in said if key in part} for part in (spec, template))
            yield Pod(WORKFLOW, {}, {**shared, **own, "containers": [template["container"]]})
