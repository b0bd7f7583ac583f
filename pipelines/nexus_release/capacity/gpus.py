"""GPUs that an environment may name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

GpuModel = Literal["T4", "A10", "A100-40GB", "A100-80GB", "L4", "L40S", "H100-80GB", "H200", "B200", "B300"]


@dataclass(frozen=True)
class Gpu:
    memory: int
    """Bytes, by the data sheet's decimal gigabytes: drivers report some percent more, so the rest is a margin."""
    capability: tuple[int, int]
    """CUDA compute capability."""


_GB = 10**9

GPUS: Mapping[GpuModel, Gpu] = {
    "T4": Gpu(16 * _GB, (7, 5)),
    "A10": Gpu(24 * _GB, (8, 6)),
    "A100-40GB": Gpu(40 * _GB, (8, 0)),
    "A100-80GB": Gpu(80 * _GB, (8, 0)),
    "L4": Gpu(24 * _GB, (8, 9)),
    "L40S": Gpu(48 * _GB, (8, 9)),
    "H100-80GB": Gpu(80 * _GB, (9, 0)),
    "H200": Gpu(141 * _GB, (9, 0)),
    "B200": Gpu(180 * _GB, (10, 0)),
    "B300": Gpu(262 * _GB, (10, 3)),  # an HGX B300 has 2.1 TB in eight; single sheets say 288 GB
}
"""Memory: NVIDIA's data sheets. Capability: https://developer.nvidia.com/cuda-gpus."""
