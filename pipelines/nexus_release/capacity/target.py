"""What an environment offers a model, and what it asks of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nexus_release.capacity.gpus import GpuModel
from nexus_release.frozen import Frozen

Runtime = Literal["nexus-worker", "nexus-vllm", "nexus-sglang", "nexus-bentoml"]
"""The ServingRuntimes that an environment may choose from: manifests/engines.py."""


class Target(Frozen):
    """One pod, as the environment's settings have it."""

    runtime: Runtime
    gpu: GpuModel | None
    """None computes on the CPU."""
    gpus: int = Field(ge=1)
    """At most."""
    gpu_memory_percent: int = Field(ge=1, le=100)
    """Of each GPU, what the engine may take."""
    memory: int = Field(ge=1)
    """Bytes of the pod's own memory."""
    context_tokens: int = Field(ge=1)
    """Prompt and answer of one request, that are wished for."""
    concurrency: int = Field(ge=1)
    """Requests at once, each of whole length."""


class FitGate(Frozen):
    """When a model is let onto the environment's machines."""

    min_context_tokens: int = Field(default=512, ge=1)
    """Tokens of prompt and answer that must remain possible for every request at once."""
    weight_only: Literal["refuse", "allow"] = "refuse"
    """FP8 on GPUs below compute capability 8.9: the engine decodes the weights and multiplies in 16 bits, so that
    memory is saved and no time. `allow` takes that."""
