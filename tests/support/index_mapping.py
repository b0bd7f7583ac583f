"""Whether Elasticsearch would take a document by an index template, and take it as it is meant.

Stricter than Elasticsearch, which also reads "5" as a number and 5 as a keyword: ours must come as what they are.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from .repository import ROOT


def template(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((ROOT / "ops" / "elasticsearch" / f"{name}.template.json").read_text())
    return read


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = template(name)["template"]["mappings"]["properties"]
    return found


def fields(mapped: dict[str, Any], above: str = "") -> dict[str, str]:
    """Path -> type, of every field that has values."""
    found: dict[str, str] = {}
    for name, field in mapped.items():
        inner = field.get("properties")
        found |= fields(inner, f"{above}{name}.") if inner else {above + name: field["type"]}
    return found


def faults(mapped: dict[str, Any], document: dict[str, Any], above: str = "") -> list[str]:
    return list(_faults(mapped, document, above))


def _faults(mapped: dict[str, Any], document: dict[str, Any], above: str) -> Iterator[str]:
    for name, value in document.items():
        path = f"{above}{name}"
        field = mapped.get(name)
        if field is None:
            yield f"{path}: strict_dynamic_mapping_exception"
        elif field["type"] == "object":
            inner = field["properties"]
            yield from _faults(inner, value, f"{path}.") if isinstance(value, dict) else [f"{path}: is no object"]
        else:
            values = value if isinstance(value, list) else [value]
            yield from (
                f"{path}: {one!r} is no {field['type']}" for one in values if one is not None and not _fits(field, one)
            )


def _fits(field: dict[str, Any], value: Any) -> bool:
    match field["type"]:
        case "keyword":
            return isinstance(value, str) and len(value) <= field["ignore_above"]
        case "match_only_text":
            return isinstance(value, str)
        case "long":
            return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
        case "double":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "date":
            return isinstance(value, str) and _is_moment(value)
        case "ip":
            return isinstance(value, str) and _is_address(value)
        case "flattened":
            return isinstance(value, dict) and not any(isinstance(one, dict | list) for one in value.values())
    raise NotImplementedError(field["type"])


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
