"""Which files a checkpoint may hold, by name, kind and first bytes."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from nexus_release.inspection.fault import Fault

SUFFIXES = frozenset({".safetensors", ".json", ".txt", ".model", ".jinja"})
"""Weights without code, configuration, vocabulary."""

_MOST_FILES = 2000  # the largest published models have some hundred shards
_LARGEST_VOCABULARY = 64 << 20  # bytes of tokenizer.json and of vocabularies; 256,000 tokens take 20 MB
_LARGEST_TEXT = 1 << 20
_VOCABULARIES = frozenset({"tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "added_tokens.json"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
_MAGIC: tuple[tuple[bytes, str], ...] = (
    *((bytes((0x80, version)), "a pickle") for version in range(2, 6)),
    (b"PK", "a zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"\x93NUMPY", "a numpy file"),
    (b"GGUF", "a GGUF file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"#!", "a script"),
)


def plain_files(folder: Path) -> Mapping[str, Path]:
    """Name -> file. Raises Fault for anything but plain files of the kinds above."""
    found: dict[str, Path] = {}
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        kind = entry.stat(follow_symlinks=False)
        if not stat.S_ISREG(kind.st_mode):
            raise Fault(entry.name, f"is {_kind(kind.st_mode)}; a checkpoint is one folder of plain files")
        if not _NAME.fullmatch(entry.name):
            raise Fault(entry.name, "has a name with other characters than letters, digits, dot, - and _")
        if Path(entry.name).suffix not in SUFFIXES:
            raise Fault(entry.name, f"is none of {', '.join(sorted(SUFFIXES))}")
        found[entry.name] = Path(entry.path)
        if len(found) > _MOST_FILES:
            raise Fault(entry.name, f"is one more than {_MOST_FILES} files")
    if not any(name.endswith(".safetensors") for name in found):
        raise Fault("model.safetensors", "is missing: it has no safetensors; convert its weights first")
    if "config.json" not in found:
        raise Fault("config.json", "is missing: it has no config.json")
    for name, path in found.items():
        if not name.endswith(".safetensors"):
            _check_text(name, path)
    return found


def _check_text(name: str, path: Path) -> None:
    """Configuration and vocabularies. Weights are proved by their own header, whatever their first bytes are."""
    largest = _LARGEST_VOCABULARY if name in _VOCABULARIES or name.endswith(".model") else _LARGEST_TEXT
    if path.stat().st_size > largest:
        raise Fault(name, f"is larger than {largest} bytes")
    data = path.read_bytes()
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            raise Fault(name, f"is {kind}, whatever its name says")
    if data[257:262] == b"ustar":
        raise Fault(name, "is a tar archive, whatever its name says")
    if name.endswith(".model"):
        return
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Fault(name, f"is no UTF-8 at byte {error.start}") from None
    if "\0" in text:
        raise Fault(name, "holds a NUL character")


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a folder" if stat.S_ISDIR(mode) else "a device, pipe or socket"
