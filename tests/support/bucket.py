"""An object store behind `s3://`, in memory: everything of one but its protocol."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fsspec.implementations.memory import MemoryFileSystem


class Bucket(MemoryFileSystem):
    protocol = "s3"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]


def register(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """For one test."""
    monkeypatch.setitem(sys.modules["fsspec.registry"]._registry, "s3", Bucket)
    Bucket.store.clear()
    return Bucket()


def upload(bucket: Bucket, folder: Path, uri: str) -> None:
    for path in folder.iterdir():
        bucket.pipe_file(f"{uri}/{path.name}", path.read_bytes())
