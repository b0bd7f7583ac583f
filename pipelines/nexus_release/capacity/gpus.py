"""GPUs that an environment may name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

GpuModel = Literal["T4", "A10", "A100-40GB", "A100-80GB", "L4", "L40S", "H100-80GB", "H200", "B200", "B300"]


@dataclass(frozen=True)
class Gpu:
    memory: int
    """Bytes that CUDA finds, or fewer: of these an engine takes its share."""
    capability: tuple[int, int]
    """CUDA compute capability."""


_GB = 10**9
_MB = 10**6

GPUS: Mapping[GpuModel, Gpu] = {
    "T4": Gpu(15_600 * _MB, (7, 5)),
    "A10": Gpu(23_500 * _MB, (8, 6)),
    "A100-40GB": Gpu(40 * _GB, (8, 0)),
    "A100-80GB": Gpu(80 * _GB, (8, 0)),
    "L4": Gpu(23_600 * _MB, (8, 9)),
    "L40S": Gpu(47_600 * _MB, (8, 9)),
    "H100-80GB": Gpu(80 * _GB, (9, 0)),
    "H200": Gpu(141 * _GB, (9, 0)),
    "B200": Gpu(180 * _GB, (10, 0)),
    "B300": Gpu(262 * _GB, (10, 3)),  # an HGX B300 has 2.1 TB in eight; single sheets say 288 GB
}
"""Memory: NVIDIA's data sheets in decimal gigabytes, of which CUDA finds more where memory is HBM. Of GDDR it finds
less, for error correction takes its part: there, what PyTorch tells as total, rounded down (T4 14.56 GiB, A10 22.0,
L4 22.03, L40S 44.4). Capability: https://developer.nvidia.com/cuda-gpus."""
