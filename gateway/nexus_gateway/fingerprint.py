"""Whether a file, or a folder of YAML files, is still what it was."""

from __future__ import annotations

import os
from pathlib import Path


def print_of(path: Path) -> object:
    """Changes whenever what the path leads to changes: the files behind links, as a kubelet swaps them, count."""
    try:
        real = path.resolve(strict=True)
        stats = [(name, os.stat(place)) for name, place in yaml_files(real)]  # noqa: PTH116 - a Path costs more than a stat
    except OSError as error:
        return error.errno
    return (str(real), [(name, s.st_ino, s.st_mtime_ns, s.st_size) for name, s in stats])


def yaml_files(path: Path) -> list[tuple[str, str]]:
    """(base name, path), by name. Raises OSError."""
    if not path.is_dir():
        return [(path.name, str(path))]
    with os.scandir(path) as found:
        return sorted((entry.name, entry.path) for entry in found if entry.name.endswith(".yaml"))
