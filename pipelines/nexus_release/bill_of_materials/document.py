"""A CycloneDX document as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

FILE = "bom.cdx.json"
Part = dict[str, object]


def document(component: Part, components: Sequence[Part], **more: object) -> str:
    """The same parts are the same text: sorted keys, no serial number and no time, which CycloneDX leaves optional."""
    body = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": component},
        "components": list(components),
        **more,
    }
    return json.dumps(body, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def sha256(digest: str) -> Part:
    return {"alg": "SHA-256", "content": digest.removeprefix("sha256:")}


def properties(values: Mapping[str, str]) -> list[Part]:
    """By name; ours stand under `nexus:`."""
    return [{"name": f"nexus:{name}", "value": value} for name, value in sorted(values.items())]
