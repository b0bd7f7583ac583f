"""Istio's, Linkerd's and MetalLB's kinds as far as we use them, closed: what is not named here is a fault.

Written from their documentation, since their CRDs are not among those that tests are given.
"""

from __future__ import annotations

from typing import Any

import jsonschema

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string", "minLength": 1}


def _listed(item: Schema) -> Schema:
    return {"type": "array", "items": item, "minItems": 1}


def _closed(required: dict[str, Schema], **optional: Schema) -> Schema:
    properties = {**required, **optional}
    return {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}


_LABELS = {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1}
_SELECTED = _closed({"matchLabels": _LABELS})
_MTLS = _closed({"mode": {"enum": ["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]}})
_SOURCE = {**_closed({}, principals=_listed(_TEXT), namespaces=_listed(_TEXT)), "minProperties": 1}
_RULE = _closed(
    {"from": _listed(_closed({"source": _SOURCE}))},
    to=_listed(_closed({"operation": _closed({"ports": _listed({"type": "string", "pattern": "^[0-9]+$"})})})),
)
_REFERENCE = _closed({"group": {"const": "policy.linkerd.io"}, "kind": _TEXT, "name": _TEXT})

SPECS: dict[tuple[str, str], Schema] = {
    ("security.istio.io/v1", "PeerAuthentication"): _closed(
        {"mtls": _MTLS},
        selector=_SELECTED,
        portLevelMtls={"type": "object", "propertyNames": {"pattern": "^[0-9]+$"}, "additionalProperties": _MTLS},
    ),
    ("security.istio.io/v1", "AuthorizationPolicy"): _closed(
        {"selector": _SELECTED, "action": {"enum": ["ALLOW", "DENY", "AUDIT", "CUSTOM"]}, "rules": _listed(_RULE)}
    ),
    ("policy.linkerd.io/v1beta3", "Server"): _closed(
        {
            "podSelector": _SELECTED,
            "port": {"type": "integer"},
            "proxyProtocol": {"enum": ["unknown", "HTTP/1", "HTTP/2", "gRPC", "opaque", "TLS"]},
            "accessPolicy": {
                "enum": [
                    "all-authenticated",
                    "all-unauthenticated",
                    "audit",
                    "cluster-authenticated",
                    "cluster-unauthenticated",
                    "deny",
                ]
            },
        }
    ),
    ("policy.linkerd.io/v1alpha1", "AuthorizationPolicy"): _closed(
        {"targetRef": _REFERENCE, "requiredAuthenticationRefs": _listed(_REFERENCE)}
    ),
    ("policy.linkerd.io/v1alpha1", "MeshTLSAuthentication"): {
        **_closed(
            {},
            identities=_listed(_TEXT),
            identityRefs=_listed(_closed({"kind": {"enum": ["ServiceAccount", "Namespace"]}, "name": _TEXT})),
        ),
        "minProperties": 1,
        "maxProperties": 1,
    },
    ("metallb.io/v1beta1", "IPAddressPool"): _closed(
        {"addresses": _listed({"type": "string", "pattern": r"^[0-9.]+(-[0-9.]+|/[0-9]+)$"})}
    ),
    ("metallb.io/v1beta1", "L2Advertisement"): _closed({"ipAddressPools": _listed(_TEXT)}),
}


def mesh_faults(document: dict[str, Any]) -> list[str] | None:
    """Where `document` breaks its kind, as `path: fault`; None for a kind that is none of theirs."""
    spec = SPECS.get((document["apiVersion"], document["kind"]))
    if spec is None:
        return None
    metadata = {**_closed({"name": _TEXT, "namespace": _TEXT, "labels": _LABELS}, annotations=_LABELS)}
    schema = _closed({"apiVersion": _TEXT, "kind": _TEXT, "metadata": metadata, "spec": spec})
    found = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in found]
