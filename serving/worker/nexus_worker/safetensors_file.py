"""One safetensors file, read strictly.

A file is 8 bytes of header length, the header (JSON: name -> type, shape, place) and the bytes of the tensors. What
the header says is believed only where it can be: each tensor's place has exactly the size of its type and shape, the
places follow each other without a gap or an overlap, and the last one ends where the file does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nexus_worker.errors import BadCheckpoint
from nexus_worker.json_file import parse_object

Array = npt.NDArray[Any]

_LENGTH = 8  # bytes of the header's length, little-endian
_HEADER = 16 * 2**20  # bytes; some 100,000 tensors
_DIMENSIONS = 8

_STORED: dict[str, str] = {
    "F32": "<f4", "F16": "<f2", "BF16": "<u2", "F8_E4M3": "u1",
    "I8": "i1", "U8": "u1", "I32": "<i4", "I64": "<i8",
}  # fmt: skip
FLOATS = frozenset({"F32", "F16", "BF16"})


@dataclass(frozen=True)
class Tensor:
    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    """In the file, bytes."""

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(_STORED[self.dtype]).itemsize

    def read(self) -> Array:
        """float32 for every float type, exactly; integers as they are stored. Raises BadCheckpoint for NaN and
        infinity."""
        stored = np.fromfile(self.file, _STORED[self.dtype], count=math.prod(self.shape), offset=self.offset)
        if stored.size != math.prod(self.shape):
            raise BadCheckpoint(self.file.name, self.name, "the file has become shorter")
        values = _decoded(stored, self.dtype)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise BadCheckpoint(self.file.name, self.name, "holds NaN or infinity")
        return values.reshape(self.shape)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, none of them read yet. Raises BadCheckpoint."""
    size = path.stat().st_size
    header, start = _read_header(path, size)
    header.pop("__metadata__", None)  # free text of whoever wrote it
    tensors = [_tensor(path, name, entry, start) for name, entry in header.items()]
    _check_places(path, [(tensor, header[tensor.name]["data_offsets"]) for tensor in tensors], size - start)
    return {tensor.name: tensor for tensor in tensors}


def _read_header(path: Path, size: int) -> tuple[dict[str, Any], int]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
        if size < _LENGTH or length > min(_HEADER, size - _LENGTH):
            raise BadCheckpoint(path.name, "header", f"{length} bytes are said to be there; the file has {size}")
        text = file.read(length)
    if not text.startswith(b"{"):
        raise BadCheckpoint(path.name, "header", "is no JSON object")
    return parse_object(text, path.name, "header"), _LENGTH + length


def _tensor(path: Path, name: str, entry: object, start: int) -> Tensor:
    shown = name[:200]
    if not isinstance(entry, Mapping) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise BadCheckpoint(path.name, shown, "has not exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _STORED:
        raise BadCheckpoint(path.name, shown, f"type {dtype!r} is none of {', '.join(_STORED)}")
    if not _naturals(shape) or len(shape) > _DIMENSIONS:
        raise BadCheckpoint(path.name, shown, f"shape {str(shape)[:200]} is none")
    if not _naturals(offsets) or len(offsets) != 2:
        raise BadCheckpoint(path.name, shown, f"place {str(offsets)[:200]} is none")
    if offsets[1] - offsets[0] != math.prod(shape) * np.dtype(_STORED[dtype]).itemsize:
        raise BadCheckpoint(path.name, shown, f"{offsets[1] - offsets[0]} bytes do not make {dtype} {shape}")
    return Tensor(path, name, dtype, tuple(shape), start + offsets[0])


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(type(number) is int and number >= 0 for number in value)


def _check_places(path: Path, places: list[tuple[Tensor, list[int]]], size: int) -> None:
    end = 0
    for tensor, (begin, after) in sorted(places, key=lambda place: place[1]):
        if begin != end:
            problem = "overlaps another tensor" if begin < end else "comes after bytes that belong to no tensor"
            raise BadCheckpoint(path.name, tensor.name[:200], problem)
        if after > size:
            raise BadCheckpoint(path.name, tensor.name[:200], f"ends at byte {after} of {size}")
        end = after
    if end != size:
        raise BadCheckpoint(path.name, "content", f"{size - end} bytes belong to no tensor")


def _decoded(stored: Array, dtype: str) -> Array:
    if dtype == "BF16":  # the upper half of a float32
        return (stored.astype(np.uint32) << 16).view(np.float32)
    if dtype == "F8_E4M3":
        return _FLOAT8[stored]
    return stored.astype(np.float32) if dtype in FLOATS else stored


def _float8_table() -> Array:
    """OCP 8-bit floating point, E4M3: bias 7, no infinity, NaN where all bits but the sign are ones."""
    bits = np.arange(256)
    exponent, mantissa = bits >> 3 & 15, (bits & 7) / 8
    size = np.where(exponent == 0, mantissa * 2.0**-6, (1 + mantissa) * 2.0 ** (exponent - 7.0))
    values = np.where(bits & 0x80, -size, size).astype(np.float32)
    values[[0x7F, 0xFF]] = np.nan
    return values


_FLOAT8 = _float8_table()
