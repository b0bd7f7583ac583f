"""What an environment says of its engines, besides the model: how many run, what they keep, and what they may fetch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from nexus_release.frozen import Section
from nexus_release.kubernetes_values import Label, Memory

Scaler = Literal["hpa", "keda", "scaled-object"]


class Autoscaling(Section):
    """How many pods of a release run where `replicas` leaves room between minimum and maximum. One thing alone decides
    it: KServe is always told which."""

    scaler: Scaler
    """`hpa`: KServe's HorizontalPodAutoscaler, by CPU. `keda`: KServe's own ScaledObject, by the engine's figures.
    `scaled-object`: the same figures in a ScaledObject of ours, which leaves the pods as they are while Prometheus says
    nothing. Both need KEDA in the cluster."""
    cpu_percent: int = Field(ge=1, le=100)
    """Of the pods' CPU, above which `hpa` adds one."""
    load_percent: int = Field(ge=1, le=100)
    """Of what a pod takes at once (`serving.concurrency` requests, its KV cache), above which the others add one."""
    prometheus: Annotated[str, StringConstraints(pattern=r"^https?://[^\s@]+$")]
    """Whom KEDA asks for the figures, without a credential."""
    settle_seconds: int = Field(ge=0, le=3600)
    """How long less load must last before a pod goes. A model takes minutes to load again."""


class Cache(Section):
    """Where engines keep what they compile and what they fetch. It is code that they run: one environment's engines
    share it and nobody else's do."""

    kind: Literal["empty-dir", "claim"]
    """`empty-dir`: on the node, gone with the pod. `claim`: a PersistentVolumeClaim `nexus-engine-cache` that all pods
    of the environment mount, so that a new pod starts warm."""
    size: Memory
    """The limit of an `empty-dir`, above which the pod is evicted; what a `claim` asks for."""
    storage_class: Label | None
    """Of the claim; null is the cluster's default, which must know ReadWriteMany."""

    @model_validator(mode="after")
    def _of_a_claim(self) -> Cache:
        if self.kind == "empty-dir" and self.storage_class is not None:
            raise ValueError(f"storage_class {self.storage_class} is of a claim: say kind: claim, or take it away")
        return self
