"""Beside each entry of the store, what its files were: so that a changed entry is told by file and place.

Nothing is believed because of a listing; it only says where to look. One that is lost or wrong costs the place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from nexus_release.journal import write_whole

BLOCK = 1 << 20
"""Bytes of one hash: a place is named this exactly, and a checkpoint of 100 GB has a listing of 7 MB."""


def keep_listing(path: Path, entry: Path) -> None:
    """Writes what `entry` holds: file -> SHA-256 in hex of each block."""
    write_whole(path, json.dumps({name: list(_blocks(file)) for name, file in _files(entry).items()}) + "\n")


def place(path: Path, entry: Path) -> str:
    """Where `entry` first differs from its listing, for people; empty where there is no telling."""
    try:
        listed: Mapping[str, list[str]] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return ""
    found = _files(entry)
    for name in sorted(listed.keys() | found.keys()):
        if name not in found:
            return f"{name} is missing"
        if name not in listed:
            return f"{name} was not there"
        if told := _differs(found[name], listed[name]):
            return f"{name} differs {told}"
    return ""


def _differs(file: Path, blocks: list[str]) -> str:
    found = list(_blocks(file))
    first = next((i for i, (a, b) in enumerate(zip(found, blocks, strict=False)) if a != b), None)
    if first is not None:
        end = min((first + 1) * BLOCK, file.stat().st_size) - 1
        return f"between byte {first * BLOCK} and {end}"
    return f"in length: it has {file.stat().st_size} bytes" if len(found) != len(blocks) else ""


def _files(entry: Path) -> dict[str, Path]:
    return {path.relative_to(entry).as_posix(): path for path in entry.rglob("*") if path.is_file()}


def _blocks(file: Path) -> Iterator[str]:
    with file.open("rb") as opened:
        while block := opened.read(BLOCK):
            yield hashlib.sha256(block).hexdigest()
