"""JSON that every reader understands alike."""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 16
"""Of nested arrays and objects."""


def json_object(data: bytes) -> dict[str, Any]:
    """Raises ValueError or RecursionError for what is no object in UTF-8, names a field twice, holds NaN or Infinity,
    or is nested too deep."""
    # Bytes would let the reader guess UTF-16 and UTF-32 too.
    value = json.loads(data.decode("utf-8"), object_pairs_hook=_once_each, parse_constant=_no_number)
    if not isinstance(value, dict):
        raise ValueError("no object")
    _shallow(value)
    return value


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_number(_: str) -> float:
    raise ValueError("NaN or Infinity")


def _shallow(value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise ValueError(f"nested deeper than {DEEPEST}")


def _inside(value: Any) -> list[Any]:
    """The arrays and objects right inside of one."""
    inner = value.values() if isinstance(value, dict) else value
    return [item for item in inner if isinstance(item, dict | list)]
