"""What a change does to a rendered tree, as people read changes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path

from nexus_release.manifests.tree import tree_path


def tree_diff(before: Path, after: Path, environment: str, changed: Iterable[str]) -> str:
    """Unified diff of those `changed` paths that are in the environment's rendered tree; empty where none is."""
    top = f"{tree_path(environment)}/"
    return "".join(line for path in changed if path.startswith(top) for line in _file_diff(before, after, path))


def _file_diff(before: Path, after: Path, path: str) -> Iterator[str]:
    old, new = _lines(before / path), _lines(after / path)
    names = ("/dev/null" if old is None else f"a/{path}", "/dev/null" if new is None else f"b/{path}")
    return difflib.unified_diff(old or [], new or [], *names)


def _lines(path: Path) -> list[str] | None:
    try:
        return path.read_text(encoding="utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        return None
