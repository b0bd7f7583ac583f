"""Upstream's CRDs for a real API server, also an old one.

A server before 1.25 knows no CEL rules and reads an empty default as none; a list's key must then have a default or be
required. Those parts are left out for it: what the schemas say of types stays.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_NEW = ("x-kubernetes-validations", "selectableFields")
FOLDERS = ("kserve", "gateway-api", "prometheus-operator")


def crds_for(folder: Path, *, old: bool) -> list[dict[str, Any]]:
    """Those that an environment of ours needs."""
    found = []
    for name in FOLDERS:
        for path in sorted((folder / name).glob("*.yaml")):
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            found += [body for body in yaml.load_all(path.read_text(encoding="utf-8"), Loader=loader) if body]
    return [_for_old(body) if old else body for body in found if body["kind"] == "CustomResourceDefinition"]


def _for_old(value: Any) -> Any:
    if isinstance(value, list):
        return [_for_old(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _for_old(item) for key, item in value.items() if key not in _NEW}
    if kept.get("default") == "":
        del kept["default"]
    keys = kept.get("x-kubernetes-list-map-keys")
    if isinstance(keys, list):
        items = kept.get("items", {})
        fields = items.get("properties", {})
        if any("default" not in fields.get(key, {}) and key not in items.get("required", []) for key in keys):
            del kept["x-kubernetes-list-map-keys"]
            kept["x-kubernetes-list-type"] = "atomic"
    return kept
