"""Which GPUs compute in which scheme, by the documentation of the vLLM that environments run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from nexus_release.schemes import Scheme

Kernels = Literal["native", "weight-only", "none"]

_ANY = (99, 0)


@dataclass(frozen=True)
class Support:
    """Compute capabilities, both ends included."""

    native: tuple[tuple[int, int], tuple[int, int]]
    """Weights and activations are multiplied in the scheme's own type."""
    weight_only_from: tuple[int, int] | None
    """From here on vLLM decodes the weights and multiplies in 16 bits; None where it does not start."""


SUPPORT: Mapping[Scheme, Support] = {
    # docs.vllm.ai, features/quantization/fp8: 8.9 and above; below, from 7.5, FP8 Marlin serves it weight-only (W8A16).
    "FP8_DYNAMIC": Support(((8, 9), _ANY), (7, 5)),
    # features/quantization/int8: Turing to Hopper; "INT8 is not supported on compute capability >= 10.0".
    "W8A8": Support(((7, 5), (9, 0)), None),
    # features/quantization/int4: Ampere and above. Weights alone are quantized, so that this is its own type.
    "W4A16": Support(((8, 0), _ANY), None),
}


def kernels(scheme: Scheme, capability: tuple[int, int]) -> Kernels:
    least, most = SUPPORT[scheme].native
    if least <= capability <= most:
        return "native"
    from_ = SUPPORT[scheme].weight_only_from
    return "weight-only" if from_ is not None and from_ <= capability < least else "none"
