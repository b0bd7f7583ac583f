"""What one JSON Schema refuses, or no longer has, that an earlier one took: decided on the two documents alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
NARROWS = dict.fromkeys(_LEAST, 1) | dict.fromkeys(_MOST, -1)
"""Bound -> the sign of a change that refuses more."""
_EITHER = ("anyOf", "oneOf")


def breaks(old: Schema, new: Schema) -> list[str]:
    """One line for each break, by its place. A key or value that is new breaks nobody."""
    return sorted(set(_differ(old, new, "")))


def _differ(old: Any, new: Any, place: str) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _gone(old, new, place)
        if any(isinstance(one.get(word), list) for one in (old, new) for word in _EITHER):
            yield from _either(old, new, place)
        else:
            yield from _narrowed(old, new, place)
        for key in (old.keys() & new.keys()) - {*_EITHER}:
            yield from _differ(old[key], new[key], f"{place}/{key}")
    elif isinstance(old, list) and isinstance(new, list) and not _names(old):
        for index, (one, other) in enumerate(zip(old, new, strict=False)):
            yield from _differ(one, other, f"{place}/{index}")


def _either(old: Schema, new: Schema, place: str) -> Iterator[str]:
    """Of a value of several forms, or one that is or was: each old form must be there, wherever it stands."""
    before, after = _forms(old), _forms(new)
    for kind, form in before.items():
        if kind in after:
            yield from _differ(form, after[kind], place) if form is not old else _narrowed(form, after[kind], place)
        elif not (kind == "integer" and "number" in after):
            yield f"{place} takes {kind} no more"


def _forms(schema: Schema) -> dict[str, Schema]:
    """What tells one form from the others -> it. A schema of one form is its own."""
    found: dict[str, Schema] = {}
    listed = next((schema[word] for word in _EITHER if isinstance(schema.get(word), list)), [schema])
    for form in listed:
        kind = str(form.get("$ref") or form.get("const") or form.get("type") or form.get("title") or "anything")
        while kind in found:
            kind += ", another"
        found[kind] = form
    return found


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
    yield from _refused(old, new, place)
    if isinstance(old.get("type"), str) and isinstance(new.get("type"), str) and not _wider(old["type"], new["type"]):
        yield f"{place} was {old['type']} and is {new['type']}"
    for bound, sign in NARROWS.items():
        before, after = old.get(bound), new.get(bound)
        if after is not None and isinstance(after, int | float) and (before is None or (after - before) * sign > 0):
            yield f"{place} has {bound} {after} now"


def _refused(old: Schema, new: Schema, place: str) -> Iterator[str]:
    """By words that were not there, or say something else. Which of two patterns takes more nobody decides here."""
    if "enum" in new and "enum" not in old and "const" not in old:
        yield f"{place} takes {', '.join(sorted(_values(new, 'enum')))} alone now"
    for word in ("pattern", "const"):
        if word in new and new[word] != old.get(word) and not isinstance(new[word], Mapping):
            yield f"{place} has the {word} {new[word]} now"
    if new.get("additionalProperties") is False and old.get("additionalProperties") is not False:
        yield f"{place} takes no other names any more"


def _wider(old: str, new: str) -> bool:
    return old == new or (old, new) == ("integer", "number")


def _values(schema: Schema, word: str) -> set[str]:
    found = schema.get(word)
    return {str(one) for one in found} if isinstance(found, list) else set()


def _names(values: list[Any]) -> bool:
    """A list of `required` or `enum`, whose order says nothing."""
    return all(isinstance(one, str) for one in values)
