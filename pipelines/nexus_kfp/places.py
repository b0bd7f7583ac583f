"""Where the tasks run: in pods of a cluster, or as processes of this machine."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Protocol

from kfp import dsl, kubernetes

from nexus_release.config import Settings
from nexus_release.pods import USER, WORK, Pod, pod_of, pod_with
from nexus_release.step import Resources, Step

_TRIES_AGAIN = {"backoff_duration": "30s", "backoff_factor": 2.0, "backoff_max_duration": "600s"}
_SUMMARY_SECONDS = 900


class Place(Protocol):
    def image(self, step: Step | None) -> str:
        """Of a step's tasks; None is a task that only reads what steps have left."""

    def settle(self, task: dsl.PipelineTask, step: Step | None) -> None:
        """Gives the task what it needs to run there."""


@dataclass(frozen=True)
class Cluster:
    settings: Settings

    def image(self, step: Step | None) -> str:
        return self._pod(step).image

    def settle(self, task: dsl.PipelineTask, step: Step | None) -> None:
        pod = self._pod(step)
        retries, seconds = (step.retries, step.timeout_seconds) if step else (1, _SUMMARY_SECONDS)
        task.set_retry(retries, **_TRIES_AGAIN)
        task.set_caching_options(_keeps(step, pod))
        kubernetes.set_timeout(task, seconds)
        _tell(task, pod)
        _ask_for(task, pod)

    def _pod(self, step: Step | None) -> Pod:
        if step is None:
            return pod_with(("read:store",), Resources(), "release", self.settings)
        return pod_of(step, self.settings)


@dataclass(frozen=True)
class Laptop:
    """By KFP's own local runner, which knows neither pods nor deadlines. A failure here does not pass by waiting."""

    work: str
    """`file://` URI."""

    def image(self, step: Step | None) -> str:
        return "python"  # the runner warns of any image that is not called so

    def settle(self, task: dsl.PipelineTask, step: Step | None) -> None:
        task.set_retry(step.retries if step else 1, backoff_duration="0s")
        task.set_caching_options(False)
        task.set_env_variable("NEXUS_WORK", self.work)


def _keeps(step: Step | None, pod: Pod) -> bool:
    """Whether KFP may take an earlier run's outcome. It knows the code by the image, so only one that is named by its
    digest will do, and only where the outcome depends on the input alone."""
    return step is not None and step.cacheable and "@sha256:" in pod.image


def _tell(task: dsl.PipelineTask, pod: Pod) -> None:
    for name, value in pod.variables.items():
        task.set_env_variable(name, value)
    keys: dict[str, dict[str, str]] = defaultdict(dict)
    for variable in pod.secrets:
        keys[variable.secret][variable.name] = variable.name
    for secret, names in keys.items():
        kubernetes.use_secret_as_env(task, secret_name=secret, secret_key_to_env=names)


def _ask_for(task: dsl.PipelineTask, pod: Pod) -> None:
    kubernetes.mount_pvc(task, pvc_name=pod.claim, mount_path=WORK)
    kubernetes.empty_dir_mount(task, volume_name="tmp", mount_path=pod.variables["HOME"])
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    task.set_cpu_request(pod.amounts["cpu"]).set_cpu_limit(pod.amounts["cpu"])
    task.set_memory_request(pod.amounts["memory"]).set_memory_limit(pod.amounts["memory"])
    if gpus := pod.amounts.get("nvidia.com/gpu"):
        task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(gpus)
    for label, value in pod.node_selector.items():
        kubernetes.add_node_selector(task, label_key=label, label_value=value)
    for one in pod.tolerations:
        kubernetes.add_toleration(task, key=one.key, operator=one.operator, value=one.value, effect=one.effect)
