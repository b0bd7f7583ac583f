"""Puts images into an environment's settings, and leaves every other line as it is: `name_images.py ROOT ENVIRONMENT`.

Reads the lines that push_images.sh prints. The worker's is put in where it is the environment's engine, and nowhere
else.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import yaml

from nexus_release.config import load_settings
from nexus_release.errors import NexusError

PLACES: dict[str, tuple[str, ...]] = {
    "gateway": ("gateway", "image"),
    "worker": ("engine_images", "nexus-worker"),
    "release": ("pods", "images", "release"),
    "train": ("pods", "images", "train"),
}


def main(root: Path, environment: str) -> int:
    path = root / "environments" / environment / "settings.yaml"
    pushed = dict(line.split() for line in sys.stdin)
    try:
        if _runtime(root, environment) != "nexus-worker":
            pushed.pop("worker", None)
        text = path.read_text(encoding="utf-8")
        for name, reference in pushed.items():
            text = with_value(text, PLACES[name], reference)
        path.write_text(text, encoding="utf-8")
        load_settings(root, environment)
    except NexusError as error:
        sys.stderr.write(f"images: {error}\n")
        return error.exit_status
    return 0


def _runtime(root: Path, environment: str) -> object:
    """Of the files as they are: an environment whose engine has no image yet is refused as settings."""
    written: dict[str, object] = {}
    for path in (root / "environments" / "base.yaml", root / "environments" / environment / "settings.yaml"):
        written |= yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return written["runtime"]


def with_value(text: str, place: tuple[str, ...], value: str) -> str:
    """The document with this value at this place. Raises NexusError where that would change anything else."""
    new = _edited(text, place, value)
    wanted = copy.deepcopy(yaml.safe_load(text) or {})
    inner = wanted
    for key in place[:-1]:
        inner = inner.setdefault(key, {})
        if not isinstance(inner, dict):
            raise _by_hand(place, value)
    inner[place[-1]] = value
    if yaml.safe_load(new) != wanted:
        raise _by_hand(place, value)
    return new


def _edited(text: str, place: tuple[str, ...], value: str) -> str:
    mapping: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for depth, key in enumerate(place):
        found = _child(mapping, key)
        if found is None:
            return _inserted(text, mapping if depth else None, place[depth:], value)
        mapping = found
    return f"{text[: mapping.start_mark.index]}{value}{text[mapping.end_mark.index :]}"


def _child(mapping: Any, key: str) -> Any:
    pairs = mapping.value if isinstance(mapping, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def _inserted(text: str, mapping: Any, keys: tuple[str, ...], value: str) -> str:
    """As the first of a mapping within the document, or as its last block."""
    if mapping is None:
        return text.rstrip("\n") + "\n" + _block(keys, value, 0)
    if mapping.flow_style or not isinstance(mapping, yaml.MappingNode):
        return text  # which is found out, and told
    column = mapping.start_mark.column
    line = mapping.start_mark.index - column
    return text[:line] + _block(keys, value, column) + text[line:]


def _block(keys: tuple[str, ...], value: str, column: int) -> str:
    lines = [f"{' ' * (column + 2 * depth)}{key}:" for depth, key in enumerate(keys)]
    return "\n".join(lines) + f" {value}\n"


def _by_hand(place: tuple[str, ...], value: str) -> NexusError:
    return NexusError(f"{'.'.join(place)} cannot be set without changing more: write {value} there by hand")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
