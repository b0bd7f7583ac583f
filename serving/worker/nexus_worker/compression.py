"""Weights as compressed-tensors stores them, given back as the float32 numbers that they stand for.

A stored weight is an integer or an 8-bit float; times its scale it is the weight. The product of either with a scale
in bfloat16 has fewer bits than float32 holds, so nothing is rounded. What happens to activations is the engine's
business: here only weights are decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nexus_worker.errors import BadCheckpoint
from nexus_worker.safetensors_file import FLOATS, Array, Tensor

_FILE = "config.json"
_FORMATS = {"int-quantized", "float-quantized", "naive-quantized", "pack-quantized"}
_WIDTHS = {("int", 8), ("float", 8), ("int", 4)}


@dataclass(frozen=True)
class Scheme:
    kind: str
    """`int` or `float`."""
    bits: int
    strategy: str
    """How many weights share a scale: all (`tensor`), a row (`channel`), or `group` neighbours in a row."""
    group: int | None

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest number that can be stored."""
        if self.kind == "float":
            return -448.0, 448.0  # E4M3 (OCP 8-bit floating point, table 1)
        return -(2.0 ** (self.bits - 1)), 2.0 ** (self.bits - 1) - 1


def scheme_of(config: Mapping[str, Any]) -> Scheme | None:
    """None for a checkpoint that is not quantized. Raises BadCheckpoint for what would be decoded wrongly."""
    found = config.get("quantization_config")
    if found is None:
        return None
    fields = _object(found, "quantization_config")
    _expect(fields, "quant_method", {"compressed-tensors"})
    _expect(fields, "format", _FORMATS)
    _expect(fields, "quantization_status", {"compressed"})
    for name in ("kv_cache_scheme", "sparsity_config", "transform_config"):
        if fields.get(name):
            raise BadCheckpoint(_FILE, f"quantization_config.{name}", "is not supported")
    groups = _object(fields.get("config_groups"), "config_groups")
    if len(groups) != 1:
        raise BadCheckpoint(_FILE, "config_groups", f"{len(groups)} groups; one scheme for all weights is supported")
    return _scheme(_object(next(iter(groups.values())), "config_groups"))


def _scheme(group: Mapping[str, Any]) -> Scheme:
    weights = _object(group.get("weights"), "config_groups.weights")
    activations = group.get("input_activations")
    if activations is not None and _object(activations, "input_activations").get("dynamic") is not True:
        raise BadCheckpoint(_FILE, "input_activations.dynamic", "static activation scales are not supported")
    if weights.get("symmetric") is not True:
        raise BadCheckpoint(_FILE, "weights.symmetric", "zero points are not supported: quantize symmetrically")
    kind, bits = str(weights.get("type")), weights.get("num_bits")
    if type(bits) is not int or (kind, bits) not in _WIDTHS:
        raise BadCheckpoint(_FILE, "weights.num_bits", f"{bits}-bit {kind} is not supported")
    _expect(weights, "strategy", {"tensor", "channel", "group"})
    size = weights.get("group_size")
    if weights["strategy"] == "group" and (type(size) is not int or size < 1):
        raise BadCheckpoint(_FILE, "weights.group_size", f"{size!r} is no number of weights")
    return Scheme(kind, bits, weights["strategy"], size)


def _expect(fields: Mapping[str, Any], name: str, allowed: set[str]) -> None:
    if not isinstance(fields.get(name), str) or fields[name] not in allowed:
        raise BadCheckpoint(_FILE, name, f"{fields.get(name)!r} is none of {', '.join(sorted(allowed))}")


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadCheckpoint(_FILE, name, "is no JSON object")
    return value


@dataclass(frozen=True)
class Stored:
    """The tensors of one quantized weight."""

    weight: Tensor
    scale: Tensor
    shape: Tensor | None
    """Of the weight, where it is packed into 32-bit words."""
    order: Tensor | None
    """The group of each column, where columns were reordered before grouping."""


@dataclass(frozen=True)
class Decoded:
    """A weight and what it is made of, all float32."""

    numbers: Array
    """As they are stored."""
    scales: Array
    """Broadcastable to them."""

    @property
    def values(self) -> Array:
        return self.numbers * self.scales


def decode(stored: Stored, scheme: Scheme, shape: tuple[int, int]) -> Decoded:
    """Of `shape`. Raises BadCheckpoint where the tensors are not of the scheme and the shape."""
    numbers = _unpacked(stored, scheme, shape) if stored.shape else _plain(stored.weight, scheme, shape)
    return Decoded(numbers, _scales(stored, scheme, shape))


def _plain(weight: Tensor, scheme: Scheme, shape: tuple[int, int]) -> Array:
    expected = {("int", 8): "I8", ("float", 8): "F8_E4M3"}.get((scheme.kind, scheme.bits))
    if weight.dtype != expected:
        raise _wrong(weight, f"type {weight.dtype} where the scheme has {scheme.bits}-bit {scheme.kind}")
    if weight.shape != shape:
        raise _wrong(weight, f"shape {list(weight.shape)} where {list(shape)} is needed")
    return weight.read().astype(np.float32)


def _unpacked(stored: Stored, scheme: Scheme, shape: tuple[int, int]) -> Array:
    """Each 32-bit word holds 32/bits neighbours of a row, the first in the lowest bits, each plus 2^(bits-1)."""
    packed, (rows, columns) = stored.weight, shape
    each = 32 // scheme.bits
    if scheme.kind != "int" or packed.dtype != "I32":
        raise _wrong(packed, f"type {packed.dtype} where packed integers are needed")
    if stored.shape is None or stored.shape.shape != (2,) or stored.shape.read().tolist() != [rows, columns]:
        raise _wrong(packed, f"weight_shape is not {list(shape)}")
    if packed.shape != (rows, -(-columns // each)):
        raise _wrong(packed, f"shape {list(packed.shape)} does not hold {list(shape)} of {scheme.bits} bits")
    words = packed.read().view(np.uint32)
    shifts = np.arange(each, dtype=np.uint32) * np.uint32(scheme.bits)
    numbers = words[..., None] >> shifts & np.uint32(2**scheme.bits - 1)
    offset = np.float32(2 ** (scheme.bits - 1))
    return numbers.reshape(rows, -1)[:, :columns].astype(np.float32) - offset


def _scales(stored: Stored, scheme: Scheme, shape: tuple[int, int]) -> Array:
    """Broadcastable to `shape`."""
    scale, (rows, columns) = stored.scale, shape
    groups = 1 if scheme.strategy != "group" or scheme.group is None else -(-columns // scheme.group)
    allowed: dict[str, list[tuple[int, ...]]] = {
        "tensor": [(), (1,), (1, 1)],
        "channel": [(rows, 1), (rows,)],
        "group": [(rows, groups)],
    }
    if scale.dtype not in FLOATS or scale.shape not in allowed[scheme.strategy]:
        raise _wrong(scale, f"{scale.dtype} {list(scale.shape)} is no scale by {scheme.strategy} of {list(shape)}")
    values = scale.read()
    if scheme.strategy == "tensor":
        return values.reshape(1, 1)
    if scheme.strategy == "channel":
        return values.reshape(rows, 1)
    return values[:, _group_of_column(stored, columns, scheme.group or columns, groups)]


def _group_of_column(stored: Stored, columns: int, size: int, groups: int) -> Array:
    if stored.order is None:
        return np.arange(columns) // size
    order = stored.order.read() if stored.order.shape == (columns,) else np.array([-1])
    if order.dtype.kind != "i" or order.min() < 0 or order.max() >= groups:
        raise _wrong(stored.order, f"does not name one of {groups} groups for each of {columns} columns")
    return order


def _wrong(tensor: Tensor, problem: str) -> BadCheckpoint:
    return BadCheckpoint(tensor.file.name, tensor.name, problem)
