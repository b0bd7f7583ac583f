"""Checkpoints with one fault, made of a good one by changing bytes of its safetensors file."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

_FILE = "model.safetensors"


def damaged(source: Path, into: Path, tensor: str, change: Callable[[bytes], bytes]) -> Path:
    """A copy of the checkpoint in which the bytes of every tensor whose name ends so are changed, its length kept."""
    shutil.copytree(source, into)
    data = bytearray((into / _FILE).read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    places = [value["data_offsets"] for name, value in header.items() if name.endswith(tensor)]
    assert places, f"no tensor {tensor}"
    for begin, end in places:
        at = slice(8 + length + begin, 8 + length + end)
        data[at] = change(bytes(data[at]))
    (into / _FILE).write_bytes(data)
    return into


def cut(source: Path, into: Path) -> Path:
    """A copy whose weights lack their last bytes."""
    shutil.copytree(source, into)
    (into / _FILE).write_bytes((into / _FILE).read_bytes()[:-100])
    return into
