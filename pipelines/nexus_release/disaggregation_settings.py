"""Which models an environment serves with prefill and decode apart, and on how many GPUs each."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from nexus_release.capacity.target import Runtime
from nexus_release.frozen import Section
from nexus_release.kubernetes_values import Label, LabelValue, QualifiedName
from nexus_release.names import ModelName
from nexus_release.pod_settings import Port

ReleasePrefix = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8,64}$")]


class InferenceGateway(Section):
    """The Gateway (Gateway API, with the inference extension) that asks a model's endpoint picker for each request.
    KServe makes a route on it for each release: `/<namespace>/<service>`."""

    name: Label
    """Of the Gateway."""
    namespace: Label
    """Of the Gateway, and of its proxies' pods."""
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s@/?#]+$")]
    """Where our gateway finds its proxies, without a path: `http://<service>.<namespace>.svc.cluster.local`."""
    pods: dict[QualifiedName, LabelValue] = Field(min_length=1)
    """Labels of the proxies' pods: they alone may reach an endpoint picker."""
    port: Port
    """On which the proxies' pods listen, which is seldom their Service's."""


class RolePods(Section):
    """Pods that do one half of the work."""

    replicas: int = Field(ge=1)
    """A fixed number: what is tuned is the proportion of the two halves. `replicas` and `autoscaling` of the
    environment do not hold here."""
    gpus: int = Field(ge=1)
    """GPUs of each pod; the tensors are split over all of them."""


class Disaggregation(Section):
    """How one model is served."""

    prefill: RolePods
    """Computes prompts."""
    decode: RolePods
    """Writes answers, from the KV cache that prefill hands over."""
    releases: tuple[ReleasePrefix, ...] = ()
    """Beginnings of the releases that are served so; none is every release. A release that has traffic is not changed
    over: that is another object, and its pods start anew."""


class Disaggregated(Section):
    """Models whose prompts and answers are computed by different pods. Needs KServe's LLMInferenceService, and what it
    needs (docs/how-to/serve-prefill-and-decode-apart.md)."""

    gateway: InferenceGateway | None
    """Null where no model is served so."""
    models: dict[ModelName, Disaggregation]
    """By the model's alias; any other is served by one kind of pod."""

    @model_validator(mode="after")
    def _reached(self) -> Disaggregated:
        if self.models and self.gateway is None:
            raise ValueError(f"gateway is null, but {', '.join(sorted(self.models))} are reached by it: describe it")
        return self

    def hold_to(self, runtime: Runtime, gpus: int) -> None:
        """`gpus`: of a pod at most; 0 where engines have none, or are no pods. Raises ValueError."""
        for model, halves in self.models.items():
            where = f"disaggregated.models.{model}"
            if runtime != "nexus-vllm":
                raise ValueError(f"{where}: runtime {runtime} hands no KV cache over: say runtime nexus-vllm")
            if not gpus:
                raise ValueError(f"{where}: prefill and decode are pods with GPUs: enable gpu and name the image")
            for role, pods in (("prefill", halves.prefill), ("decode", halves.decode)):
                if pods.gpus > gpus:
                    raise ValueError(f"{where}.{role}.gpus is {pods.gpus}, but a pod may have gpu.count {gpus}")
            few, many = sorted((halves.prefill.gpus, halves.decode.gpus))
            if many % few:
                raise ValueError(
                    f"{where}: {few} and {many} GPUs divide heads unlike; make one a multiple of the other"
                )
