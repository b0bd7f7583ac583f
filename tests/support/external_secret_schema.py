"""What we write of an ExternalSecret, as a schema of our own.

Its operator's CRD is in no folder that `ops/download_crds.py` fills. This schema is closed over the few fields that we
render, with the defaults that the CRD has for them (external-secrets.io/v1); it proves no more than that.
"""

from __future__ import annotations

from typing import Any


def _closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _one_of(*values: str, default: str | None = None) -> dict[str, Any]:
    return {"type": "string", "enum": list(values), **({"default": default} if default else {})}


_TEXT = {"type": "string", "minLength": 1}
_EXTRACT = _closed(
    ["key"],
    key=_TEXT,
    property=_TEXT,
    version=_TEXT,
    conversionStrategy=_one_of("Default", "Unicode", default="Default"),
    decodingStrategy=_one_of("Auto", "Base64", "Base64URL", "None", default="None"),
    metadataPolicy=_one_of("None", "Fetch", default="None"),
    nullBytePolicy=_one_of("Ignore", "Fail", default="Ignore"),
)
SCHEMA = _closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "external-secrets.io/v1"},
    kind={"const": "ExternalSecret"},
    metadata={"type": "object"},
    spec=_closed(
        ["secretStoreRef"],
        refreshInterval={"type": "string", "pattern": r"^(\d+h)?(\d+m)?(\d+s)?$", "default": "1h0m0s"},
        secretStoreRef=_closed(["name"], name=_TEXT, kind=_one_of("SecretStore", "ClusterSecretStore")),
        target=_closed(
            [],
            name=_TEXT,
            creationPolicy=_one_of("Owner", "Orphan", "Merge", "None", default="Owner"),
            deletionPolicy=_one_of("Delete", "Merge", "Retain", default="Retain"),
        ),
        dataFrom={"type": "array", "items": _closed([], extract=_EXTRACT)},
    ),
)
