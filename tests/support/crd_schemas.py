"""Upstream CRDs as strict JSON Schema.

An API server prunes what a structural schema does not name; here it is a fault. CEL rules are not evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

Schema = dict[str, Any]
_OPEN = "x-kubernetes-preserve-unknown-fields"


def crd_faults(folder: Path, document: dict[str, Any]) -> list[str] | None:
    """Where `document` breaks its CRD, as `path: fault`; None where `folder` has no CRD of its kind."""
    validator = _validator(folder, document["apiVersion"], document["kind"])
    if validator is None:
        return None
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def strict(schema: Schema, *, root: bool = True) -> Schema:
    """Closes every object that names its properties; int-or-string and nullable become plain JSON Schema."""
    if schema.get("x-kubernetes-int-or-string"):
        return {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    closed: Schema = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes")}
    for key in ("properties", "patternProperties"):
        if key in schema:
            closed[key] = {name: strict(item, root=False) for name, item in schema[key].items()}
    for key in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(key), dict):
            closed[key] = strict(schema[key], root=False)
    for key in ("allOf", "anyOf", "oneOf"):
        if key in schema:  # structural schemas repeat only constraints here, the fields are named above
            closed[key] = schema[key]
    if "properties" in schema and "additionalProperties" not in schema and not schema.get(_OPEN):
        closed["additionalProperties"] = False
    if root:
        closed["properties"]["metadata"] = {"type": "object"}
    if closed.pop("nullable", False):
        return {"anyOf": [closed, {"type": "null"}]}
    return closed


def defaulted(schema: Schema, value: Any) -> Any:
    """`value` as an API server stores it: the schema's defaults filled in."""
    if isinstance(value, list):
        return [defaulted(schema.get("items", {}), item) for item in value]
    if not isinstance(value, Mapping):
        return value
    properties = schema.get("properties", {})
    filled = {key: item["default"] for key, item in properties.items() if "default" in item} | dict(value)
    rest = schema.get("additionalProperties")
    return {
        key: defaulted(properties.get(key) or (rest if isinstance(rest, dict) else {}), item)
        for key, item in filled.items()
    }


@cache
def _validator(folder: Path, api_version: str, kind: str) -> jsonschema.Draft202012Validator | None:
    schema = find_schema(folder, api_version, kind)
    return None if schema is None else jsonschema.Draft202012Validator(strict(schema))


@cache
def find_schema(folder: Path, api_version: str, kind: str) -> Schema | None:
    group, _, version = api_version.rpartition("/")
    marks = (f"kind: {kind}\n", f"group: {group}\n")
    for path in sorted(folder.rglob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        if not all(mark in text for mark in marks):
            continue
        spec = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)).get("spec", {})  # noqa: S506 - both are safe loaders; the C one is ten times faster
        if spec.get("group") == group and spec.get("names", {}).get("kind") == kind:
            found = next((item for item in spec["versions"] if item["name"] == version and item["served"]), None)
            return None if found is None else dict(found["schema"]["openAPIV3Schema"])
    return None
