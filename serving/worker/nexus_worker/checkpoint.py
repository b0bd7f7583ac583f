"""A model folder as transformers and llm-compressor write it, read without torch and without trust.

Read are JSON, the tokenizer, the chat template and safetensors; nothing in the folder is ever run or unpickled. A
tensor that the architecture does not have, or lacks, refuses the whole checkpoint: what is not understood would
otherwise be served wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nexus_worker.architecture import Architecture, architecture_of
from nexus_worker.compression import Decoded, Scheme, Stored, decode, scheme_of
from nexus_worker.errors import BadCheckpoint
from nexus_worker.json_file import inside, read_object
from nexus_worker.safetensors_file import FLOATS, Array, Tensor, read_tensors

__all__ = ["BadCheckpoint", "Checkpoint"]

_JSON = 1 * 2**20  # bytes of a configuration
_INDEX_JSON = 16 * 2**20  # bytes; it names every tensor
_OF_A_WEIGHT = (".weight_scale", ".weight_shape", ".weight_g_idx")
_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"


class Checkpoint:
    """Each tensor is read when it is asked for. All methods raise BadCheckpoint."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise BadCheckpoint(str(folder), "folder", "is not there")
        self.folder = folder
        self.config: Mapping[str, Any] = read_object(folder, "config.json", limit=_JSON)
        self.architecture: Architecture = architecture_of(self.config)
        self.scheme: Scheme | None = scheme_of(self.config)
        self._tensors = _tensors(folder)
        self._used: set[str] = set()

    def array(self, name: str, *shape: int) -> Array:
        """A tensor that is stored as what it is, as float32."""
        tensor = self._take(name)
        if tensor.dtype not in FLOATS or tensor.shape != shape:
            stored = f"{tensor.dtype} {list(tensor.shape)}"
            raise BadCheckpoint(tensor.file.name, name, f"{stored} where floats of shape {list(shape)} are needed")
        return tensor.read()

    def matrix(self, module: str, rows: int, columns: int) -> Array:
        """The weight of a linear module, quantized or not, as float32."""
        if not self._is_quantized(module):
            return self.array(f"{module}.weight", rows, columns)
        return self.quantized(module, rows, columns).values

    def quantized(self, module: str, rows: int, columns: int) -> Decoded:
        """The weight of a linear module that is quantized, apart."""
        if self.scheme is None or not self._is_quantized(module):
            raise BadCheckpoint(_WHOLE, f"{module}.weight", "is not quantized")
        packed = f"{module}.weight_packed" in self._tensors
        stored = Stored(
            weight=self._take(f"{module}.weight_packed" if packed else f"{module}.weight"),
            scale=self._take(f"{module}.weight_scale"),
            shape=self._take(f"{module}.weight_shape") if packed else None,
            order=self._take(f"{module}.weight_g_idx") if f"{module}.weight_g_idx" in self._tensors else None,
        )
        return decode(stored, self.scheme, (rows, columns))

    def modules(self) -> Mapping[str, bool]:
        """Every tensor by the name that it has where nothing is quantized, and whether it is quantized here."""
        names = (name for name in self._tensors if not (self.scheme and name.endswith(_OF_A_WEIGHT)))
        plain = (name.removesuffix("_packed") if self.scheme else name for name in names)
        return {name: self._is_quantized(name.removesuffix(".weight")) for name in sorted(plain)}

    def plain(self, name: str) -> Array:
        """Any tensor that is stored as what it is, in its own shape; floats as float32."""
        return self._take(name).read()

    def bytes(self) -> int:
        """Of all tensors together."""
        return sum(tensor.bytes for tensor in self._tensors.values())

    def has(self, name: str) -> bool:
        return name in self._tensors

    def check_all_used(self) -> None:
        left = sorted(set(self._tensors) - self._used)
        if left:
            tensor = self._tensors[left[0]]
            others = f" (and {len(left) - 1} others)" if left[1:] else ""
            raise BadCheckpoint(tensor.file.name, tensor.name[:200], f"has no place in this architecture{others}")

    def _is_quantized(self, module: str) -> bool:
        return self.scheme is not None and f"{module}.weight_scale" in self._tensors

    def _take(self, name: str) -> Tensor:
        if name not in self._tensors:
            raise BadCheckpoint(_INDEX if (self.folder / _INDEX).exists() else _WHOLE, name, "is missing")
        self._used.add(name)
        return self._tensors[name]


def _tensors(folder: Path) -> dict[str, Tensor]:
    if not (folder / _INDEX).exists():
        if not (folder / _WHOLE).exists():
            raise BadCheckpoint(_WHOLE, "file", f"is not in {folder}; weights are read from safetensors only")
        return read_tensors(inside(folder, _WHOLE))
    placed = read_object(folder, _INDEX, limit=_INDEX_JSON).get("weight_map")
    if not isinstance(placed, Mapping) or not all(isinstance(file, str) for file in placed.values()):
        raise BadCheckpoint(_INDEX, "weight_map", "does not name a file for each tensor")
    found: dict[str, Tensor] = {}
    for file in sorted(set(placed.values())):
        if not file.endswith(".safetensors"):
            raise BadCheckpoint(_INDEX, file[:200], "is no safetensors file")
        for name, tensor in read_tensors(inside(folder, file)).items():
            if placed.get(name) != file:
                raise BadCheckpoint(file, name[:200], f"is in this file, which {_INDEX} does not say")
            found[name] = tensor
    missing = sorted(set(placed) - set(found))
    if missing:
        raise BadCheckpoint(placed[missing[0]], missing[0][:200], f"is not in this file, where {_INDEX} has it")
    return found
