"""Canonical bytes and their SHA-256: the one definition of sameness."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import StringConstraints

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""`sha256:` and 64 lower-case hex digits."""

HexId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""64 lower-case hex digits: a release id or a routes revision."""

Listing = list[list[str | int]]
"""`[path, bytes, digest]` of every file of a folder, sorted by path."""

_BLOCK = 1 << 20  # bytes read at a time: large enough to keep the disk busy, small beside any model


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces; floats are refused, since their text is not one thing.

    Raises TypeError for a float anywhere in `value`.
    """
    _refuse_floats(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_bytes(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_json(value: Any) -> str:
    return digest_bytes(canonical_json(value))


def digest_file(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            hasher.update(block)
    return "sha256:" + hasher.hexdigest()


def digest_folder(folder: Path) -> str:
    """Digest of the canonical list of `[path, bytes, digest]` of every file below `folder`, sorted by path.

    Names, sizes and contents count; times, owners and modes do not. Links are refused (ValueError).
    """
    return digest_json(folder_listing(folder))


def folder_listing(folder: Path) -> Listing:
    return [
        [path.relative_to(folder).as_posix(), path.stat().st_size, digest_file(path)] for path in sorted(_files(folder))
    ]


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise ValueError(f"{path} is a symbolic link; an artifact holds plain files only")
        if path.is_file():
            yield path


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise TypeError(f"float {value!r} has no canonical text; write it as a decimal string")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} is no string")
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)
