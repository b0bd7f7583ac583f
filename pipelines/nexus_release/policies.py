"""The policies of an environment: what each caller may ask of the gateway, and how much.

`environments/<env>/policies.yaml` is written by hand and goes through review as it is. What it may say is defined by
the gateway alone: it is held against the schema of route files, `gateway/routes.schema.json` of the same tree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus_release.documents import read_yaml
from nexus_release.errors import BadInput, Missing

if TYPE_CHECKING:
    from jsonschema import ValidationError

SCHEMA = "gateway/routes.schema.json"
SECTIONS = ("policies", "subjects")
"""Of a route file: by a key's tenant, and by a token's `sub`. Routes and upstreams follow from plans."""

Policies = Mapping[str, object]
"""A route file of these sections alone."""


def policies_path(environment: str) -> str:
    """Path under the repository's root."""
    return f"environments/{environment}/policies.yaml"


def read_policies(root: Path, environment: str) -> Policies | None:
    """None where the environment has no such file: the gateway then limits no key, and lets no token in that names no
    models. Raises BadInput, or Missing where the tree has no schema."""
    path = policies_path(environment)
    if not (root / path).exists():
        return None
    document = read_yaml(root, path)
    if not isinstance(document, dict) or not document:
        raise BadInput(path, document, f"write {' and '.join(SECTIONS)}, or remove the file")
    if strange := sorted(document.keys() - set(SECTIONS)):
        raise BadInput(f"{path}: {strange[0]}", document[strange[0]], f"known here: {', '.join(SECTIONS)}")
    _hold(document, _schema(root), path)
    return document


def _schema(root: Path) -> Mapping[str, Any]:
    try:
        schema: Mapping[str, Any] = json.loads((root / SCHEMA).read_bytes())
    except FileNotFoundError:
        raise Missing(f"{SCHEMA}: no such file, and policies are held against it; run `make generate`") from None
    return schema


def _hold(document: Mapping[str, object], schema: Mapping[str, Any], path: str) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    fault = best_match(Draft202012Validator(schema).iter_errors(document))
    if fault is not None:
        raise BadInput(f"{path}: {_field(fault)}", fault.instance, fault.message)


def _field(fault: ValidationError) -> str:
    return ".".join(str(part) for part in fault.absolute_path) or "(whole file)"
