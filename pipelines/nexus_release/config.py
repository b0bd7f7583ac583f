"""The settings of an environment: `environments/base.yaml`, and over it `environments/<env>/settings.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from nexus_release.aliases import alias_fault
from nexus_release.canary.policy import CanaryPolicy
from nexus_release.capacity.gpus import GpuModel
from nexus_release.capacity.target import FitGate, Runtime, Target
from nexus_release.console_settings import CHECKOUT_VARIABLES, ConsoleSettings
from nexus_release.dashboard_settings import DashboardSettings
from nexus_release.disaggregation_settings import Disaggregated
from nexus_release.documents import Location, read_yaml, validated
from nexus_release.engine_settings import Autoscaling, Cache
from nexus_release.errors import BadInput, Missing
from nexus_release.frozen import Section
from nexus_release.gateway_settings import GatewaySettings
from nexus_release.kubernetes_values import (
    Artifacts,
    Cpu,
    Domain,
    Image,
    Label,
    LabelValue,
    Memory,
    QualifiedName,
    memory_bytes,
)
from nexus_release.monitoring.policy import DriftPolicy
from nexus_release.names import EnvironmentName
from nexus_release.network_settings import NetworkSettings
from nexus_release.pod_settings import StepPods
from nexus_release.prices import Prices
from nexus_release.promotion.settings import Approvals, Promotion
from nexus_release.redis_settings import RedisSettings
from nexus_release.routing_settings import PrefixRouting
from nexus_release.steps.evaluate import QualityGate
from nexus_release.steps.inspect import ArtifactGate
from nexus_release.steps.validate import DataGate
from nexus_release.trust.settings import SignatureSettings
from nexus_release.watching.settings import AlertSettings

BASE = "environments/base.yaml"
NOT_ENVIRONMENTS = frozenset({"argocd", "components", "evidence", "overlays", "platform", "releases"})
"""What stands beside the environments' folders in `gitops/`."""


class Replicas(Section):
    """Pods of each InferenceService. Where both are equal nothing scales; else what `autoscaling` names does."""

    minimum: int = Field(ge=1)
    """Pods that always run."""
    maximum: int = Field(ge=1)
    """Pods at most."""

    @model_validator(mode="after")
    def _ordered(self) -> Replicas:
        if self.maximum < self.minimum:
            raise ValueError(f"maximum {self.maximum} is below minimum {self.minimum}")
        return self


class EngineResources(Section):
    """What one pod asks for, and is held to: requests and limits are equal."""

    cpu: Cpu
    """Cores: `4`, or millicores: `500m`."""
    memory: Memory
    """With its unit: `512Mi`, `16Gi`."""


class Toleration(Section):
    """As Kubernetes has it."""

    key: QualifiedName
    """The taint's key."""
    operator: Literal["Equal", "Exists"]
    """`Exists` takes no value."""
    value: LabelValue | None = None
    """The taint's value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
    """The taint's effect."""


class Gpu(Section):
    """GPUs of one pod, and the nodes that have them."""

    enabled: bool
    """False runs the engine on the CPU; the other fields then mean nothing."""
    model: GpuModel
    """What the node pool has; its memory and compute capability are in `capacity/gpus.py`."""
    count: int = Field(ge=1)
    """GPUs a pod may have; a model gets the fewest that hold it, and its tensors are split over them."""
    node_selector: dict[QualifiedName, LabelValue]
    """Labels of the node pool. Keep generations of GPUs apart: figures of one say nothing of another."""
    tolerations: tuple[Toleration, ...]
    """Taints of the node pool that these pods may ignore."""


class Serving(Section):
    """What an engine is started for. Figures for planning, and its options at once."""

    context_tokens: int = Field(ge=16)
    """Prompt and answer of one request, at most. A model gets less where its positions or the memory end earlier."""
    concurrency: int = Field(ge=1, le=256)
    """Requests at once in one pod; memory is planned for all of them at full length."""
    gpu_memory_percent: int = Field(ge=1, le=100)
    """Of each GPU's memory, what the engine may take (vLLM's `--gpu-memory-utilization`)."""
    prefix_cache: Literal["tenant", "shared"]
    """Whose prompts an engine may find in its cache again. `tenant`: each tenant its own, where the engine can keep
    them apart, which nexus-vllm can. `shared`: everybody's, so that one tenant can find out what another has asked."""


class Timeouts(Section):
    """Deadlines of a request at the gateway."""

    first_byte_seconds: int = Field(ge=1)
    """Until the engine's first byte."""
    chunk_seconds: int = Field(ge=1)
    """Between two chunks of a stream."""
    total_seconds: int = Field(ge=1)
    """Of the whole request."""


class Gates(Section):
    """How good data and model must be for this environment."""

    data: DataGate
    """Held by the step `validate`."""
    fit: FitGate
    """Held by the step `fit`, and again whenever the environment is rendered."""
    artifact: ArtifactGate
    """Held by the step `inspect`."""
    quality: QualityGate
    """Held by the step `evaluate`."""


class Settings(Section):
    """One environment. Never promoted: what is promoted is in `models/`."""

    namespace: Label
    """Kubernetes namespace of everything that is rendered."""
    domain: Domain
    """The cluster's domain for Services, with `svc`."""
    landing: Literal["merge", "review"]
    """`merge`: a proposal lands by itself once its checks pass. `review`: it stays a branch for people."""
    runtime: Runtime
    """The ServingRuntime of this environment's models."""
    engine_images: dict[Runtime, Image | None]
    """Each runtime's image by digest; null for the chosen one only where engines are processes on this machine."""
    artifacts: Artifacts
    """Where the cluster finds the content-addressed store; a release is at `<artifacts>/sha256/<hex>`."""
    replicas: Replicas
    """Pods of each release."""
    autoscaling: Autoscaling
    """What decides how many of them run."""
    resources: EngineResources
    """CPU and memory of each pod."""
    gpu: Gpu
    """GPUs of each pod."""
    cache: Cache
    """Where each engine keeps what it compiles."""
    hub_token: Label | None
    """The Secret whose `HF_TOKEN` engines are given; null keeps them offline, for a released model is whole."""
    serving: Serving
    """What each engine is started for."""
    disaggregated: Disaggregated
    """Models whose prompts and answers are computed by different pods."""
    prefix_routing: PrefixRouting
    """Models whose pods are chosen by the beginning of a prompt."""
    timeouts: Timeouts
    """Deadlines of each model's route."""
    retain: int = Field(ge=0)
    """Former stable releases that stay warm, so that a rollback moves traffic and starts nothing."""
    signatures: SignatureSettings
    """Who must have signed what is released here."""
    gates: Gates
    """What a release must pass to be proposed here."""
    pods: StepPods
    """Where the steps of a release run on a cluster."""
    promotion: Promotion
    """Which environment a release passes before this one."""
    approvals: Approvals
    """How many people must agree to a change."""
    drift: DriftPolicy
    """When live traffic asks for a release (`nexus drift`)."""
    canary: CanaryPolicy
    """How a canary's weight follows its figures (`nexus canary step`)."""
    prices: Prices
    """What machines cost here, and what may be spent."""
    dashboards: DashboardSettings
    """Where what Grafana shows leads to."""
    gateway: GatewaySettings
    """The gateway's pods, and who reaches them."""
    redis: RedisSettings
    """What all gateways of the environment count in."""
    network: NetworkSettings
    """Who may reach whom."""
    console: ConsoleSettings
    """What the gateway's console reads."""
    alerting: AlertSettings
    """What is promised, and what rings."""

    @property
    def in_cluster(self) -> bool:
        """Whether pods run what is rendered; else processes of this machine stand in for them."""
        return self.image is not None

    @property
    def image(self) -> str | None:
        """Of the chosen runtime."""
        return self.engine_images.get(self.runtime)

    @property
    def target(self) -> Target:
        """What one pod offers a model."""
        return Target(
            runtime=self.runtime,
            gpu=self.gpu.model if self.gpu.enabled else None,
            gpus=self.gpu.count,
            gpu_memory_percent=self.serving.gpu_memory_percent,
            memory=memory_bytes(self.resources.memory),
            context_tokens=self.serving.context_tokens,
            concurrency=self.serving.concurrency,
        )

    @model_validator(mode="after")
    def _shows_one_checkout(self) -> Settings:
        if self.console.checkout and (twice := sorted({*self.gateway.variables} & CHECKOUT_VARIABLES)):
            raise ValueError(f"gateway.variables: {twice[0]} is given by console.checkout: take it away")
        return self

    @model_validator(mode="after")
    def _computes_where_it_can(self) -> Settings:
        if self.gpu.enabled and self.runtime in ("nexus-worker", "nexus-bentoml"):
            raise ValueError(f"runtime {self.runtime} computes on the CPU alone: say gpu.enabled: false")
        if not self.gpu.enabled and self.runtime == "nexus-sglang":
            raise ValueError("runtime nexus-sglang is for GPUs: enable gpu, or take nexus-worker or nexus-vllm")
        return self

    @model_validator(mode="after")
    def _runs_in_a_cluster(self) -> Settings:
        if self.landing == "review" and self.image is None:
            raise ValueError(
                f"engine_images.{self.runtime} is null, but what people review runs in a cluster: give "
                "repository:tag@sha256:..."
            )
        if self.signatures.accept == "own" and self.image is not None:
            raise ValueError("signatures.accept is own, but a cluster has no key of its own: name keys and say trusted")
        return self

    @model_validator(mode="after")
    def _takes_apart_what_it_can(self) -> Settings:
        with_gpus = self.gpu.enabled and self.image is not None
        self.disaggregated.hold_to(self.runtime, self.gpu.count if with_gpus else 0)
        self.prefix_routing.hold_to(self.disaggregated, in_cluster=self.in_cluster, has_redis=self.redis.mode != "none")
        return self

    @model_validator(mode="after")
    def _knows_what_its_gpus_cost(self) -> Settings:
        if self.gpu.enabled and self.gpu.model not in self.prices.gpu_hour:
            raise ValueError(f"prices.gpu_hour has no {self.gpu.model}, which gpu.model names: give its price")
        return self


def load_settings(root: Path, environment: str) -> Settings:
    """Raises BadInput or Missing that name file, field, value and mend."""
    own = settings_path(environment)
    if not environment_names(root):
        raise Missing("environments/: none is here; run this in a checkout of the repository")
    if environment not in environment_names(root):
        raise BadInput("environment", environment, f"one of {', '.join(environment_names(root))}")
    base, over = _mapping(root, BASE), _mapping(root, own)
    return validated(Settings, _merged(base, over), lambda location: own if _has(over, location) else BASE)


def base_settings(root: Path, over: Mapping[str, object]) -> Settings:
    """base.yaml with `over` over it, for what is no environment. Raises BadInput or Missing."""
    return validated(Settings, _merged(_mapping(root, BASE), over), lambda _: BASE)


def environment_names(root: Path) -> tuple[str, ...]:
    """Sorted. Raises BadInput for a folder whose name cannot be one."""
    names = sorted(path.parent.name for path in (root / "environments").glob("*/settings.yaml"))
    for name in names:
        try:
            TypeAdapter(EnvironmentName).validate_python(name)
        except ValidationError as error:
            raise BadInput("environments/", name, error.errors(include_url=False)[0]["msg"]) from None
        if name in NOT_ENVIRONMENTS:
            raise BadInput("environments/", name, f"gitops/{name}/ is something else; choose another name")
        if fault := alias_fault(name):
            raise BadInput("environments/", name, fault)
    return tuple(names)


def settings_path(environment: str) -> str:
    return f"environments/{environment}/settings.yaml"


def _mapping(root: Path, path: str) -> Mapping[str, object]:
    if not (root / BASE).exists():
        raise Missing(f"{BASE}: no such file; run this in a checkout of the repository")
    document = read_yaml(root, path)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise BadInput(path, document, "write `key: value` lines")
    return document


def _merged(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """Mappings are merged key by key; anything else, lists too, is replaced whole."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _has(document: object, location: Location) -> bool:
    for part in location[:-1] if location[-1:] == ("[key]",) else location:  # the fault is the key itself
        if isinstance(document, dict) and part in document:
            document = document[part]
        else:
            return isinstance(document, list)  # a list is one file's whole
    return True
