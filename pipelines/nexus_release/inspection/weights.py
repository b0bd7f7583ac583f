"""Safetensors files: what their headers say, and whether the bytes are what is said.

The format is safetensors' own README: 8 bytes of length, a JSON header, then the tensors' bytes without gaps.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from nexus_release.inspection.fault import Fault, quoted

BITS: Mapping[str, int] = {
    **dict.fromkeys(("F64", "I64", "U64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "I8", "U8", "BOOL"), 8),
}
_LARGEST_HEADER = 100 << 20  # bytes, as safetensors itself has it
_MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class Tensor:
    file: str
    path: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    """First byte in the file."""
    end: int


def read_weights(files: Mapping[str, Path], settings: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """Every tensor by its name. Raises Fault where a header or an index lies."""
    found: dict[str, Tensor] = {}
    shards = [name for name in files if name.endswith(".safetensors")]
    for file in shards:
        for tensor in read_header(file, files[file]):
            if tensor.name in found:
                raise Fault(file, f"has {quoted(tensor.name)}, which {found[tensor.name].file} has too")
            found[tensor.name] = tensor
    indexes = [name for name in settings if name.endswith(".index.json")]
    for name in indexes:
        _check_index(name, settings[name].get("weight_map"), found, files)
    if len(shards) > 1 and not indexes:
        raise Fault(shards[1], "is a second file of weights, and no index says what is where")
    return found


def read_header(file: str, path: Path) -> list[Tensor]:
    """In the order of their bytes. Raises Fault."""
    size = path.stat().st_size
    with path.open("rb") as opened:
        start = opened.read(8)
        if len(start) < 8:
            raise Fault(file, "is too short to have a header")
        (length,) = struct.unpack("<Q", start)
        if length > min(size - 8, _LARGEST_HEADER):
            raise Fault(file, f"says that its header has {length} bytes, and has {size} in all")
        header = _parse(file, opened.read(length))
    data = 8 + length
    tensors = [_tensor(file, path, name, said, data) for name, said in header.items() if name != "__metadata__"]
    tensors.sort(key=lambda tensor: (tensor.begin, tensor.end))
    place = data
    for tensor in tensors:
        if tensor.begin != place:
            problem = "overlaps the one before" if tensor.begin < place else "leaves a gap before it"
            raise Fault(file, f"{quoted(tensor.name)} {problem}")
        place = tensor.end
    if place != size:
        raise Fault(file, f"its tensors end at byte {place} and the file at {size}")
    return tensors


def _parse(file: str, data: bytes) -> dict[str, Any]:
    try:
        header = json.loads(data.decode("utf-8"), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise Fault(file, f"its header is no JSON: {quoted(error)}") from None
    if not isinstance(header, dict):
        raise Fault(file, "its header is no JSON object")
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Fault(file, "its __metadata__ holds other things than texts")
    return header


def _tensor(file: str, path: Path, name: str, said: Any, data: int) -> Tensor:
    shown = quoted(name)
    if not isinstance(said, dict) or said.keys() != {"dtype", "shape", "data_offsets"}:
        raise Fault(file, f"{shown} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = said["dtype"], said["shape"], said["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise Fault(file, f"{shown} has the unknown dtype {quoted(dtype)}")
    if not _counts(shape) or len(shape) > _MOST_DIMENSIONS:
        raise Fault(file, f"{shown} has the shape {quoted(shape)}")
    if not _counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise Fault(file, f"{shown} has the data_offsets {quoted(offsets)}")
    if prod(shape) * BITS[dtype] != (offsets[1] - offsets[0]) * 8:
        raise Fault(file, f"{shown} is {dtype} of shape {quoted(shape)} in {offsets[1] - offsets[0]} bytes")
    return Tensor(file, path, name, dtype, tuple(shape), data + offsets[0], data + offsets[1])


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 48 for item in value)


def _check_index(name: str, places: Any, found: Mapping[str, Tensor], files: Mapping[str, Path]) -> None:
    if not isinstance(places, dict):
        raise Fault(name, "has no weight_map")
    for tensor, file in places.items():
        if not isinstance(file, str) or file not in files or not file.endswith(".safetensors"):
            raise Fault(name, f"names {quoted(repr(file))}, which is no file of it")
        if tensor not in found or found[tensor].file != file:
            raise Fault(name, f"says that {quoted(tensor)} is in {file}, which it is not")
    if unnamed := found.keys() - places.keys():
        raise Fault(name, f"does not name {quoted(min(unnamed))} of {found[min(unnamed)].file}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found
