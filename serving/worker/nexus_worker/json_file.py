"""JSON of a model folder: small, an object, and without a key given twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nexus_worker.errors import BadCheckpoint


def parse_object(text: bytes, file: str, subject: str) -> dict[str, Any]:
    """Raises BadCheckpoint for what is no JSON object, or names a key twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) != len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise BadCheckpoint(file, twice[:200], "is given twice")
        return dict(pairs)

    try:
        found = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise BadCheckpoint(file, subject, f"is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadCheckpoint(file, subject, "is no JSON object")
    return found


def inside(folder: Path, name: str) -> Path:
    """The regular file `name` of the folder. Raises BadCheckpoint where there is none, or a link leads out."""
    path = folder / name
    if "/" in name or "\\" in name or name in {"", ".", ".."}:
        raise BadCheckpoint(name[:200], "name", "is not that of a file in the model folder")
    if not path.is_file():
        raise BadCheckpoint(name, "file", f"is not in {folder}")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BadCheckpoint(name, "link", "leads out of the model folder")
    return path


def read_object(folder: Path, name: str, *, limit: int) -> dict[str, Any]:
    return parse_object(read_bounded(folder, name, limit=limit), name, "content")


def read_bounded(folder: Path, name: str, *, limit: int) -> bytes:
    """`limit` in bytes. Raises BadCheckpoint for a file that is larger."""
    with inside(folder, name).open("rb") as file:
        found = file.read(limit + 1)
    if len(found) > limit:
        raise BadCheckpoint(name, "size", f"is more than {limit} bytes")
    return found
