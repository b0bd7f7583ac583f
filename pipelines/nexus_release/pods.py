"""The pod of a step, as every engine on a cluster makes it: a pure function of the step's metadata and the settings.

A step's effects decide what its pod is told, which Secrets it sees, and whom it may reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nexus_release.config import Settings, Toleration
from nexus_release.pod_settings import Peer, StepForge, StepPods, Target
from nexus_release.step import Effect, Resources, Step
from nexus_release.wiring import SECRETS

WORK = "/var/nexus"  # where the claim is mounted
USER = 1000  # any but root
TARGETS: tuple[Target, ...] = ("dataset", "base-model", "registry", "git", "figures")
REGISTRY_URI = "MLFLOW_TRACKING_URI"

_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "remote": ("NEXUS_REMOTE",),
    "push": ("NEXUS_PUSH_REMOTE",),
    "registry": ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    "base_model": ("HF_TOKEN",),
    "signing": ("NEXUS_SIGNING_KEY",),
}
"""Field of `StepSecrets` -> keys of the Secret that it names."""


@dataclass(frozen=True)
class SecretVariable:
    """A variable whose value is the key of that name in a Secret."""

    name: str
    secret: str


@dataclass(frozen=True)
class Pod:
    image: str
    variables: Mapping[str, str]
    secrets: tuple[SecretVariable, ...]
    claim: str
    amounts: Mapping[str, str]
    """Of requests and of limits, in Kubernetes' units."""
    node_selector: Mapping[str, str]
    tolerations: tuple[Toleration, ...]
    egress: tuple[Peer, ...]


def pod_of(step: Step, settings: Settings) -> Pod:
    return pod_with(step.effects, step.resources, step.image, settings)


def pod_with(effects: tuple[Effect, ...], resources: Resources, image: str, settings: Settings) -> Pod:
    """For a command of `nexus` that is no step: what asks for a release's parameters, what sums it up."""
    pods = settings.pods
    on_gpu = resources.gpu and settings.gpu.enabled
    return Pod(
        image=image_of(image, settings),
        variables=_variables(effects, pods),
        secrets=_secrets(effects, pods),
        claim=pods.work_claim,
        amounts={
            "cpu": resources.cpu,
            "memory": resources.memory,
            **({"nvidia.com/gpu": "1"} if on_gpu else {}),  # no step uses more than one
        },
        node_selector=settings.gpu.node_selector if on_gpu else {},
        tolerations=settings.gpu.tolerations if on_gpu else (),
        egress=tuple(peer for target in reached(effects) for peer in pods.egress.get(target, ())),
    )


def image_of(key: str, settings: Settings) -> str:
    """By digest, or the name that pipelines/Dockerfile is built under where nothing is said."""
    return getattr(settings.pods.images, key) or f"nexus-{key}:local"


def reached(effects: tuple[Effect, ...]) -> tuple[Target, ...]:
    """What a step with these effects opens connections to. The store is a volume."""
    words = {effect.partition(":")[2] for effect in effects}
    return tuple(target for target in TARGETS if target in words)


def _variables(effects: tuple[Effect, ...], pods: StepPods) -> Mapping[str, str]:
    told = {"NEXUS_WORK": f"file://{WORK}", "HOME": "/tmp"}  # noqa: S108 - a path in the container, on a volume of its own
    told |= {REGISTRY_URI: pods.registry} if _allowed("MLFLOW_TRACKING_USERNAME", effects) else {}
    told |= {"NEXUS_PROMETHEUS": pods.prometheus} if "read:figures" in effects else {}
    return told | (_forge(pods.forge) if pods.forge and "open:pull-request" in effects else {})


def _forge(forge: StepForge) -> dict[str, str]:
    return {"NEXUS_FORGE": forge.kind, **({"NEXUS_FORGE_URL": forge.url} if forge.url else {})}


def _secrets(effects: tuple[Effect, ...], pods: StepPods) -> tuple[SecretVariable, ...]:
    named = {field: getattr(pods.secrets, field) for field in _VARIABLES}
    given = [(name, named[field]) for field, names in _VARIABLES.items() for name in names]
    given += [("NEXUS_FORGE_TOKEN", pods.forge.secret if pods.forge else None)]
    return tuple(SecretVariable(name, secret) for name, secret in given if secret and _allowed(name, effects))


def _allowed(variable: str, effects: tuple[Effect, ...]) -> bool:
    """As `wiring.forget_secrets` has it, so that no pod is given what its step would throw away."""
    return bool({*SECRETS[variable]} & {*effects})
