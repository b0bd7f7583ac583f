"""For which models the gateway asks the pod whose cache knows the beginning of a prompt, and by which figures."""

from __future__ import annotations

from pydantic import Field

from nexus_release.disaggregation_settings import Disaggregated
from nexus_release.frozen import Section
from nexus_release.names import ModelName


class PrefixChoice(Section):
    """Of one model. What is not said is the gateway's own default (gateway/routes.schema.json)."""

    prefill_tokens_per_second: float = Field(gt=0, le=10_000_000)
    """Prompt tokens that one pod computes in a second at its best, as measured."""
    ttft_penalty_seconds: float = Field(gt=0, le=600)
    """The longest that a request waits more for the pod which knows its beginning, whatever that saves."""
    bound: float = Field(default=2, ge=1, le=10)
    """Times the mean of requests under way that a pod may have, and"""
    slack: float = Field(default=16, ge=1, le=10_000)
    """so many requests more."""
    least_tokens: float = Field(default=500, ge=0, le=1_000_000)
    """Shorter prompts go to the pod with the least to do."""
    slow_start_seconds: float = Field(default=30, ge=0, le=3600)
    """In which a pod that has come is given more and more of its conversations."""
    scrape_seconds: float = Field(default=1, ge=0.1, le=60)
    """Between two looks at each pod's load, by each gateway process."""
    memory_seconds: float = Field(default=0, ge=0, le=3600)
    """For which it is remembered in the environment's Redis which pod has answered a conversation, so that a new one
    may begin where there is room; 0: not at all."""


class PrefixRouting(Section):
    """Where a model has several pods, those whose prompts go by their beginning (docs/how-to/keep-caches-warm.md)."""

    models: dict[ModelName, PrefixChoice]
    """By the model's alias; of any other, Kubernetes chooses the pod."""

    def hold_to(self, disaggregated: Disaggregated, *, in_cluster: bool, has_redis: bool) -> None:
        """Raises ValueError."""
        for model, choice in self.models.items():
            where = f"prefix_routing.models.{model}"
            if not in_cluster:
                raise ValueError(f"{where}: engines are processes of this machine, one of each release: take it away")
            if choice.memory_seconds and not has_redis:
                raise ValueError(
                    f"{where}.memory_seconds: {choice.memory_seconds:g}: redis.mode is none, so nobody could remember: "
                    "give 0, or a Redis"
                )
            halves = disaggregated.models.get(model)
            if halves is not None and not halves.releases:
                raise ValueError(
                    f"{where}: its pods are chosen by the endpoint picker: take it away, or name the releases that "
                    f"disaggregated.models.{model} is for"
                )
