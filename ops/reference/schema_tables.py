"""A JSON Schema's parts as tables of Markdown: a heading for each, a row for each key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Schema = Mapping[str, Any]
BOUNDS = (("exclusiveMinimum", "> "), ("minimum", "≥ "), ("exclusiveMaximum", "< "), ("maximum", "≤ "))


def tables(schema: Schema, root: str) -> str:
    """The part `root`, then each part that it leads to, in the order in which they are first named."""
    return "\n\n".join(_table(name, schema["$defs"][name]) for name in _reached(schema, root))


def kind(said: Schema) -> str:
    """What a value may be, in a few words."""
    if "$ref" in said:
        name = str(said["$ref"]).rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "enum" in said:
        return " or ".join(f"`{one}`" for one in said["enum"])
    if "const" in said:
        return f"`{said['const']}`"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in said:
            return " or ".join(dict.fromkeys(kind(one) for one in said[several]))
    return {"array": _list, "object": _mapping}.get(str(said.get("type")), _plain)(said)


def text(said: str) -> str:
    """In one cell."""
    return " ".join(said.split()).replace("|", "\\|")


def _list(said: Schema) -> str:
    return f"list of {kind(said['items'])}" if said.get("items") else "list"


def _mapping(said: Schema) -> str:
    values = said.get("additionalProperties") or next(iter(said.get("patternProperties", {}).values()), None)
    return f"name → {kind(values)}" if isinstance(values, Mapping) else "mapping"


def _plain(said: Schema) -> str:
    bounds = ", ".join(f"{sign}{said[key]}" for key, sign in BOUNDS if key in said)
    return " ".join(word for word in (str(said.get("type", "any")), bounds) if word)


def _table(name: str, part: Schema) -> str:
    needed = part.get("required", ())
    rows = [
        f"| `{key}` | {text(kind(said))} | {_default(said, key in needed)} | {text(said.get('description', ''))} |"
        for key, said in part.get("properties", {}).items()
    ]
    head = [f"## {name}", "", *([text(part["description"]), ""] if part.get("description") else [])]
    return "\n".join([*head, "| key | value | default | meaning |", "| --- | --- | --- | --- |", *rows])


def _default(said: Schema, needed: bool) -> str:
    if needed:
        return "needed"
    value = said.get("default")
    return f"`{value}`" if isinstance(value, str | int | float) and value != "" else ""


def _reached(schema: Schema, root: str) -> list[str]:
    found: list[str] = []
    waiting = [root]
    while waiting:
        name = waiting.pop(0)
        if name not in found and schema["$defs"][name].get("properties"):
            found.append(name)
            waiting = [*_named(schema["$defs"][name]), *waiting]
    return found


def _named(part: Any) -> Iterable[str]:
    if isinstance(part, Mapping):
        if "$ref" in part:
            yield str(part["$ref"]).rsplit("/", 1)[-1]
        for value in part.values():
            yield from _named(value)
    elif isinstance(part, list):
        for value in part:
            yield from _named(value)
