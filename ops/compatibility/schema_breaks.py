"""What one JSON Schema refuses, or no longer has, that an earlier one took: decided on the two documents alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
NARROWS = {"minimum": 1, "exclusiveMinimum": 1, "minLength": 1, "maximum": -1, "exclusiveMaximum": -1, "maxLength": -1}
"""Bound -> the sign of a change that refuses more."""


def breaks(old: Schema, new: Schema) -> list[str]:
    """One line for each break, by its place. A key or value that is new breaks nobody."""
    return sorted(set(_differ(old, new, "")))


def _differ(old: Any, new: Any, place: str) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _gone(old, new, place)
        yield from _narrowed(old, new, place)
        for key in old.keys() & new.keys():
            yield from _differ(old[key], new[key], f"{place}/{key}")
    elif isinstance(old, list) and isinstance(new, list) and not _names(old):
        for index, (one, other) in enumerate(zip(old, new, strict=False)):
            yield from _differ(one, other, f"{place}/{index}")


def _gone(old: Schema, new: Schema, place: str) -> Iterator[str]:
    """Below these words stand names that people use; elsewhere keys are the schema's own."""
    if place.rsplit("/", 1)[-1] in {"properties", "paths", "$defs", "responses", "headers"} or _is_path(place):
        for name in sorted(old.keys() - new.keys()):
            yield f"{place}/{name} is gone"


def _is_path(place: str) -> bool:
    """`/paths/<path>`, whose keys are methods; a path has slashes of its own."""
    return place.startswith("/paths//") and place.count("/get") + place.count("/post") == 0


def _narrowed(old: Schema, new: Schema, place: str) -> Iterator[str]:
    for name in sorted(_values(new, "required") - _values(old, "required")):
        if name in old.get("properties", {}) or name in new.get("properties", {}):
            yield f"{place}/{name} is needed now"
    if "enum" in old and "enum" in new:
        for value in sorted(_values(old, "enum") - _values(new, "enum")):
            yield f"{place} takes `{value}` no more"
    if isinstance(old.get("type"), str) and isinstance(new.get("type"), str) and not _wider(old["type"], new["type"]):
        yield f"{place} was {old['type']} and is {new['type']}"
    for bound, sign in NARROWS.items():
        before, after = old.get(bound), new.get(bound)
        if after is not None and isinstance(after, int | float) and (before is None or (after - before) * sign > 0):
            yield f"{place} has {bound} {after} now"


def _wider(old: str, new: str) -> bool:
    return old == new or (old, new) == ("integer", "number")


def _values(schema: Schema, word: str) -> set[str]:
    found = schema.get(word)
    return {str(one) for one in found} if isinstance(found, list) else set()


def _names(values: list[Any]) -> bool:
    """A list of `required` or `enum`, whose order says nothing."""
    return all(isinstance(one, str) for one in values)
