"""The pages of the gateway's own, as its OpenAPI document tells of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nexus_gateway.console.explain_page import ExplainQuery
from nexus_gateway.errors import (
    CHECKOUT_UNREADABLE,
    HEAD_TOO_LARGE,
    INTERNAL,
    INVALID_API_KEY,
    INVALID_HEAD,
    INVALID_QUERY,
    MISSING_SCOPE,
    RELEASE_NOT_FOUND,
    Condition,
)

Document = dict[str, Any]
JSON = "application/json"
TEXT: Document = {"type": "string"}

EVERYWHERE = (INVALID_HEAD, HEAD_TOO_LARGE, INTERNAL)
KEYED = (*EVERYWHERE, INVALID_API_KEY)
ADMIN = (*KEYED, MISSING_SCOPE)
OF_GIT = (*ADMIN, CHECKOUT_UNREADABLE)


@dataclass(frozen=True)
class Page:
    summary: str
    answer: Document = field(default_factory=dict)
    conditions: tuple[Condition, ...] = EVERYWHERE
    media: str = JSON
    also: Document = field(default_factory=dict)
    """Status -> schema of what it answers besides."""
    parameters: tuple[Document, ...] = ()


def _object(**properties: Document) -> Document:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _one(*values: str) -> Document:
    return {"enum": list(values)}


def _many(schema: Document) -> Document:
    return {"type": "array", "items": schema}


def _or_null(schema: Document) -> Document:
    return {"anyOf": [schema, {"type": "null"}]}


def _named(schema: Document) -> Document:
    return {"type": "object", "additionalProperties": schema}


def _query() -> tuple[Document, ...]:
    """Of `/admin/explain`, as it is read."""
    schema = ExplainQuery.model_json_schema()
    return tuple(
        {
            "name": name,
            "in": "query",
            "required": name in schema["required"],
            "description": said.pop("description"),
            "schema": {key: value for key, value in _given(said).items() if key not in ("title", "default")},
        }
        for name, said in schema["properties"].items()
    )


def _given(said: Document) -> Document:
    """A query has no null: what may be left out is left out."""
    return said["anyOf"][0] if "anyOf" in said else said


NUMBER: Document = {"type": "number"}
WHOLE: Document = {"type": "integer"}
TRUTH: Document = {"type": "boolean"}
_LEFT = _or_null(_object(limit=WHOLE, remaining=WHOLE, reset=WHOLE | {"description": "Seconds to the whole."}))
_MOST = _or_null(WHOLE)
_HEADER = {"header": TEXT, "value": TEXT}
_SHARE = {"upstream": TEXT, "percent": NUMBER}
_ROUTE = _object(
    name=TEXT,
    targets=_many(_object(**_SHARE)),
    matches=_many(_object(**_HEADER, upstream=TEXT)),
    fallbacks=_many(TEXT),
    tries=WHOLE,
    shadow=_or_null(_object(**_SHARE, match=_or_null(_object(**_HEADER)))),
)
_ENDPOINT = _object(
    url=TEXT,
    address=_or_null(TEXT),
    state=_one("closed", "half_open", "open"),
    failures=WHOLE,
    retry_after_seconds=_or_null(WHOLE),
    well=TRUTH,
    in_flight=WHOLE,
)
_UPSTREAM = _object(release=_or_null(TEXT), apis=_many(TEXT), endpoints=_many(_ENDPOINT))
_ABOUT_GIT: Document = {"problem": _or_null(TEXT), "environment": _or_null(TEXT)}
_PLACE = _object(environment=TEXT, role=_one("stable", "canary", "retained"), weight=_MOST)
_RELEASE: Document = {
    **{"release": TEXT, "model": TEXT, "time": TEXT, "base": TEXT, "base_source": TEXT, "registry": TEXT},
    **{"commit": TEXT, "accepted": TRUTH, "verdicts": _named(TRUTH), "recipe": _named(TEXT)},
    "dataset": _object(digest=TEXT, rows=WHOLE),
    "artifact": _object(digest=TEXT, bytes=WHOLE),
    "places": _many(_PLACE),
}
_FIGURE = _object(
    **dict.fromkeys(("name", "subject", "value", "low", "high", "least", "most", "base", "candidate"), TEXT),
    passed=TRUTH,
)
_GATE = _object(gate=TEXT, accepted=TRUTH, reason=TEXT, figures=_many(_FIGURE))
_ARMS = _object(stable=WHOLE, canary=WHOLE)
_STEP = _object(
    **dict.fromkeys(("digest", "since", "until"), TEXT),
    weight=WHOLE,
    decision=_object(action=TEXT, weight=WHOLE, reason=TEXT),
    tests=_many(_object(metric=TEXT, evidence=TEXT, threshold=TEXT, guilty=TRUTH)),
    requests=_ARMS,
    errors=_ARMS,
)
_CANARY = _object(model=TEXT, stable=TEXT, canary=TEXT, weight=WHOLE, evidence=_many(_STEP))
_PRICES = _object(
    currency=TEXT,
    place_hour=TEXT | {"description": "Of one of an engine's places, an hour."},
    token_weights=_named(TEXT),
)
_MODEL = _object(id=TEXT, object=_one("model"), created={"type": "integer"}, owned_by=_one("nexus"))
_REFUSAL = {"anyOf": [_object(revision=TEXT, reason=TEXT), {"type": "null"}]}
PAGES = {
    "/health": Page("The process lives.", _object(status=_one("ok"))),
    "/ready": Page(
        "Requests may be sent here; 503 while it drains.",
        _object(status=_one("ready"), revision=TEXT),
        also={"503": _object(status=_one("draining"), revision=TEXT)},
    ),
    "/metrics": Page(
        "Figures for Prometheus; those of tenants for a key with the scope `admin`, or where the gateway names them to "
        "everybody.",
        TEXT,
        media="text/plain",
    ),
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
    "/": Page("The console: a page without data.", TEXT, media="text/html", also={"304": {}}),
    "/v1/limits": Page(
        "Who the key is, and what is left of its limits.",
        _object(
            key_id=TEXT,
            tenant=TEXT,
            admin=TRUTH,
            policy=_or_null(TEXT),
            limits=_object(requests=_MOST, tokens=_MOST, parallel=_MOST),
            left=_object(requests=_LEFT, tokens=_LEFT),
        ),
        KEYED,
    ),
    "/v1/figures": Page(
        "Figures of the key's tenant, in Prometheus's text; none of a caller whom the routes do not name.",
        TEXT,
        KEYED,
        media="text/plain",
    ),
    "/admin/routes": Page(
        "The routes that are served, and how their engines are; for a key with the scope `admin`.",
        _object(revision=TEXT, loaded=NUMBER, routes=_many(_ROUTE), upstreams=_named(_UPSTREAM)),
        ADMIN,
    ),
    "/admin/explain": Page(
        "What would be decided about a request, and why; for a key with the scope `admin`.",
        _object(told={"type": "object"}, lines=_many(TEXT)),
        (*ADMIN, INVALID_QUERY),
        parameters=_query(),
    ),
    "/admin/releases": Page(
        "Releases of the checkout, the newest first; for a key with the scope `admin`.",
        _object(**_ABOUT_GIT, releases=_many(_object(**_RELEASE))),
        OF_GIT,
    ),
    "/admin/releases/{release}": Page(
        "A release with the figures of its gates; for a key with the scope `admin`.",
        _object(**_RELEASE, gates=_many(_GATE)),
        (*OF_GIT, RELEASE_NOT_FOUND),
        parameters=({"name": "release", "in": "path", "required": True, "schema": TEXT},),
    ),
    "/admin/canaries": Page(
        "Canaries of the gateway's environment, its declared steps, and their evidence; for a key with the scope "
        "`admin`.",
        _object(**_ABOUT_GIT, steps=_many(WHOLE), then=TEXT, canaries=_many(_CANARY)),
        OF_GIT,
    ),
    "/admin/prices": Page(
        "What the environment pays; for a key with the scope `admin`.",
        _object(**_ABOUT_GIT, prices=_or_null(_PRICES)),
        OF_GIT,
    ),
}  # fmt: skip
