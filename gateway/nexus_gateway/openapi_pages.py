"""The pages of the gateway's own, as its OpenAPI document tells of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nexus_gateway.errors import HEAD_TOO_LARGE, INTERNAL, INVALID_API_KEY, INVALID_HEAD, MISSING_SCOPE, Condition

Document = dict[str, Any]
JSON = "application/json"
TEXT: Document = {"type": "string"}

EVERYWHERE = (INVALID_HEAD, HEAD_TOO_LARGE, INTERNAL)
KEYED = (*EVERYWHERE, INVALID_API_KEY)
ADMIN = (*KEYED, MISSING_SCOPE)


@dataclass(frozen=True)
class Page:
    summary: str
    answer: Document = field(default_factory=dict)
    conditions: tuple[Condition, ...] = EVERYWHERE
    media: str = JSON
    also: Document = field(default_factory=dict)
    """Status -> schema of what it answers besides."""


def _object(**properties: Document) -> Document:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _one(*values: str) -> Document:
    return {"enum": list(values)}


def _many(schema: Document) -> Document:
    return {"type": "array", "items": schema}


_MODEL = _object(id=TEXT, object=_one("model"), created={"type": "integer"}, owned_by=_one("nexus"))
_REFUSAL = {"anyOf": [_object(revision=TEXT, reason=TEXT), {"type": "null"}]}
PAGES = {
    "/health": Page("The process lives.", _object(status=_one("ok"))),
    "/ready": Page(
        "Requests may be sent here; 503 while it drains.",
        _object(status=_one("ready"), revision=TEXT),
        also={"503": _object(status=_one("draining"), revision=TEXT)},
    ),
    "/metrics": Page("Figures for Prometheus.", TEXT, media="text/plain"),
    "/openapi.json": Page("This document.", {"type": "object"}),
    "/v1/models": Page(
        "The models that the key may use.", _object(object=_one("list"), data=_many(_MODEL)), KEYED
    ),
    "/v1/circuit-breakers": Page(
        "Which engines are left alone, by endpoint; for a key with the scope `admin`.",
        {"type": "object", "additionalProperties": {"type": "object"}},
        ADMIN,
    ),
    "/admin/config": Page(
        "What is served, and what was refused since; for a key with the scope `admin`.",
        _object(
            revision=TEXT,
            loaded={"type": "number", "description": "Unix seconds."},
            files=_many(TEXT),
            routes=_many(TEXT),
            refusal=_REFUSAL,
            workers=_many(_object(pid={"type": "integer"}, revision=TEXT, refusal=_REFUSAL)),
            silent_workers={"type": "integer", "description": "That did not answer: nobody knows what they serve."},
        ),
        ADMIN,
    ),
}  # fmt: skip
