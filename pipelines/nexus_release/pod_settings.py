"""What an environment says of the pods in which a release's steps run on a cluster."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from nexus_release.frozen import Section
from nexus_release.kubernetes_values import Cidr, Image, Label, LabelValue, Memory, QualifiedName

Target = Literal["dataset", "base-model", "registry", "git", "figures"]
"""What a step reaches over the network; the word of its effects after the colon."""
Port = Annotated[int, Field(ge=1, le=65535)]


class StepImages(Section):
    """By the steps' `image`. null is the name that a build gives, for a cluster into which it is loaded, as kind."""

    release: Image | None
    """The library with its clients of Git and registry; no torch."""
    train: Image | None
    """The same with torch, llm-compressor and the engine that evaluates."""


class StepSecrets(Section):
    """Names of Secrets whose keys are the variables that a step is given. Only steps whose effects need one get it."""

    remote: Label
    """`NEXUS_REMOTE`: the Git remote, with a credential that may read."""
    push: Label
    """`NEXUS_PUSH_REMOTE`: the same with one that may push."""
    canary: Label
    """`NEXUS_PUSH_REMOTE` of who moves canaries: one whose pushes the server holds to that (canary-by-commits.md)."""
    registry: Label | None
    """`MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`; null where the registry asks for none."""
    base_model: Label | None
    """`HF_TOKEN`; null where base models are open to all."""
    signing: Label
    """`NEXUS_SIGNING_KEY`: the PEM of the private key that signs releases."""


class StepForge(Section):
    """A forge whose API the peers of `git` in `egress` let through to."""

    kind: Literal["github", "gitlab", "gitea"]
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s@]+$")] | None
    """Of its API, where it is not on the remote's host."""
    secret: Label
    """`NEXUS_FORGE_TOKEN`: may write pull requests."""


class Peer(Section):
    """Whom a pod may open a connection to: addresses outside of the cluster, or pods in it."""

    cidr: Cidr | None = None
    """`0.0.0.0/0` is all addresses; the cluster's own pods are then among them."""
    namespace: Label | None = None
    """Namespace of the pods."""
    pods: dict[QualifiedName, LabelValue] = Field(default_factory=dict)
    """Their labels; none is all pods of the namespace."""
    ports: tuple[Port, ...] = Field(min_length=1)
    """TCP."""

    @model_validator(mode="after")
    def _either(self) -> Peer:
        if (self.cidr is None) == (self.namespace is None):
            raise ValueError("give either cidr, or namespace and pods")
        if self.cidr is not None and self.pods:
            raise ValueError("pods have a namespace; take cidr or pods away")
        return self


class StepPods(Section):
    """Where the steps of a release run on a cluster. A laptop reads none of it."""

    namespace: Label
    """Of the pods; apart from the models' own, so that no step can reach an engine."""
    images: StepImages
    """By digest."""
    work_claim: Label
    """PersistentVolumeClaim, ReadWriteMany, with the store and the results of steps; `artifacts` is then
    `pvc://<claim>/store`."""
    work_size: Memory
    """How much the claim asks for."""
    storage_class: Label | None
    """Of the claim; null is the cluster's default, which must know ReadWriteMany."""
    registry: Annotated[str, StringConstraints(pattern=r"^https?://[^\s@]+$")]
    """MLFLOW_TRACKING_URI, without a credential."""
    prometheus: Annotated[str, StringConstraints(pattern=r"^https?://[^\s@]+$")]
    """NEXUS_PROMETHEUS, where the gateways' figures are, without a credential."""
    forge: StepForge | None
    """Where `propose` opens pull requests; null leaves its branches without one."""
    secrets: StepSecrets
    """Names of Secrets, never their values."""
    egress: dict[Target, tuple[Peer, ...]]
    """What each kind of effect reaches. What is not named, no step reaches; names are resolved in any case."""
    api_server: tuple[Peer, ...] = Field(min_length=1)
    """Kubernetes' API server, as packets reach it: the engine's own process in each pod reports to it. The step's does
    not: it has no token."""
