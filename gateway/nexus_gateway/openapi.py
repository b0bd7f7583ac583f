"""What the gateway answers, as OpenAPI 3.1, made from the tables that the code itself runs by."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from nexus_gateway import envelopes
from nexus_gateway.asked import LONGEST_MODEL, Asked
from nexus_gateway.errors import (
    CHECKOUT_UNREADABLE,
    CONDITIONS,
    INVALID_API_KEY,
    INVALID_QUERY,
    METHOD_NOT_ALLOWED,
    MISSING_SCOPE,
    PAGE_NOT_FOUND,
    RELEASE_NOT_FOUND,
    STREAM_BROKEN,
    Condition,
    Refusal,
)
from nexus_gateway.idempotency.key import LONGEST_KEY
from nexus_gateway.kept_responses.place import ID
from nexus_gateway.openapi_pages import ADMIN, JSON, PAGES, TEXT, Document, Page
from nexus_gateway.relay import PASSED_ON
from nexus_gateway.surfaces import KEPT, SURFACES, Surface

_ELSEWHERE = (
    *(MISSING_SCOPE, PAGE_NOT_FOUND, METHOD_NOT_ALLOWED, STREAM_BROKEN),
    *(INVALID_QUERY, RELEASE_NOT_FOUND, CHECKOUT_UNREADABLE),
)
"""Of other pages, of no path at all, and of streams that have begun."""
_RELAYED = tuple(condition for condition in CONDITIONS if condition not in _ELSEWHERE)


def _by_status(conditions: Iterable[Condition]) -> dict[int, list[Condition]]:
    found: dict[int, list[Condition]] = {}
    for condition in conditions:
        found.setdefault(condition.status, []).append(condition)
    return found


_REFUSED = sorted({*_by_status(_RELAYED), *PASSED_ON})
_SECURITY: list[Document] = [{"bearer": []}, {"key": []}]
_OF_BODIES = (408, 413, 415)
_RESPONSE_ID: Document = {
    "name": "response_id",
    "in": "path",
    "required": True,
    "description": "As the engine gave it to this very caller.",
    "schema": TEXT | {"pattern": f"^{ID.pattern}$"},
}
_STREAM: Document = {
    "name": "stream",
    "in": "query",
    "description": "The events of the answer; this and whatever else the query says goes to the engine as it came.",
    "schema": {"type": "boolean"},
}
_IDS = {
    "x-request-id": "The client's where it is well-formed, else made here.",
    "x-trace-id": "The client's, by `traceparent` or `x-trace-id`, else made here.",
    "traceparent": "W3C Trace Context.",
}
_ORIGIN = {
    "x-nexus-revision": "Of the configuration that decided.",
    "x-nexus-route": "The route that answered, or was to.",
    "x-nexus-release": "Release id that the upstream serves.",
    "x-fallback-model": "The model that answered in the asked one's stead.",
}
_QUOTA = {"limit": "A minute's", "remaining": "What is left of the", "reset": "Seconds to the whole of the"}
_LIMITS = {
    f"x-ratelimit-{what}-{kind}": f"{told} {kind}, where the caller has a limit of them."
    for kind in ("requests", "tokens")
    for what, told in _QUOTA.items()
}
_REPLAYED = {
    "idempotency-replayed": "`true` where the answer is an earlier request's.",
    "idempotency-original-request-id": "`x-request-id` of the request that an engine was asked for.",
}
_BESIDES = {
    401: ["www-authenticate"],
    409: ["retry-after", "x-should-retry"],
    429: ["retry-after"],
    503: ["retry-after"],
}
_RELAYED_HEADERS = (*_IDS, *_ORIGIN, *_LIMITS)
_ABOUT = """One address for every model. Any other path is 404 `page_not_found`, any other method 405
`method_not_allowed`, and what cannot be read as HTTP is 400 `invalid_head`,
all in the envelope of OpenAI but under `/v1/messages`. Pages answer HEAD as they
answer GET."""


def document() -> Document:
    return {
        "openapi": "3.1.0",
        "info": {"title": "Nexus gateway", "version": "1", "description": _ABOUT},
        "paths": {
            **{path: {"post": _relayed(surface)} for path, surface in SURFACES.items()},
            **{path: _kept(surface) for path, surface in KEPT.items()},
            **{path: {"get": _get(page)} for path, page in PAGES.items()},
        },
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A key, or a signed token (JWT)."},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
            "parameters": {"idempotency-key": _idempotency_key(), "response-id": _RESPONSE_ID},
            "headers": _headers(),
            "responses": {
                **{f"{api}-{status}": _refused(api, status) for api in ("openai", "messages") for status in _REFUSED},
                **{f"page-{status}": _error("page", found) for status, found in _by_status(ADMIN).items()},
            },
            "schemas": {
                "Asked": _asked(),
                "Complaint": {"type": "object", "description": "What the engine said of the request, as it said it."},
            },
        },
    }


def _relayed(surface: Surface) -> Document:
    free: Document = {name: {} for name in sorted(surface.fields - _asked()["properties"].keys())}
    body = {"allOf": [{"$ref": "#/components/schemas/Asked"}], "type": "object", "properties": free}
    content: Document = {JSON: {"schema": {"type": "object"}}}
    told = "As the engine gave it."
    if surface.streams:
        content["text/event-stream"] = {}
        told += f" A stream that is whole ends with {' or '.join(sorted(surface.ends)) or '[DONE]'}."
    name = surface.path.removeprefix("/v1/")
    api = "messages" if surface.api == "messages" else "openai"
    return {
        "summary": f"Relayed to an engine of the model: {name}",
        "operationId": name.replace("/", "_"),
        "security": _SECURITY,
        "parameters": [{"$ref": "#/components/parameters/idempotency-key"}],
        "requestBody": {"required": True, "content": {JSON: {"schema": body}}},
        "responses": {
            "200": {"description": told, "headers": _having(*_RELAYED_HEADERS, *_REPLAYED), "content": content},
            **{str(status): _reference(api, status) for status in _REFUSED},
        },
    }


def _kept(surface: Surface) -> Document:
    """Methods of a path about a response that an engine keeps."""
    content: Document = {JSON: {"schema": {"type": "object"}}}
    told = {"description": "As the engine gave it.", "headers": _having(*_RELAYED_HEADERS), "content": content}
    streamed = {**told, "content": {**content, "text/event-stream": {}}}
    name = surface.path.removeprefix("/v1/").replace("/{response_id}", "")
    return {
        method.lower(): {
            "summary": f"Asked of the engine that keeps the response: {method} {name}",
            "operationId": f"{method.lower()}_{name.replace('/', '_')}",
            "security": _SECURITY,
            "parameters": [
                {"$ref": "#/components/parameters/response-id"},
                *([_STREAM] if surface.streams and method == "GET" else ()),
            ],
            "responses": {
                "200": streamed if surface.streams and method == "GET" else told,
                **{str(status): _reference("openai", status) for status in _REFUSED if status not in _OF_BODIES},
            },
        }
        for method in surface.methods
    }


def _asked() -> Document:
    """The fields that the gateway reads, as it reads them under each path."""
    fields = {
        one.name: msgspec.json.schema(one.type) | ({} if one.required else {"default": one.default})
        for one in msgspec.structs.fields(Asked)
        if one.type is not msgspec.Raw
    }
    fields["model"] |= {"minLength": 1, "maxLength": LONGEST_MODEL}
    return {"type": "object", "required": ["model"], "properties": fields}


def _refused(api: str, status: int) -> Document:
    """Of a relayed path: the gateway's own, or what is passed on of the engine's in the engine's own words."""
    conditions = _by_status(_RELAYED).get(status, [])
    complaint: Document = {"$ref": "#/components/schemas/Complaint"}
    if not conditions:
        content = {JSON: {"schema": complaint}}
        return {"description": "The engine's own.", "headers": _having(*_RELAYED_HEADERS), "content": content}
    error = _error(api, conditions)
    error["headers"] |= _having(*_RELAYED_HEADERS, *_REPLAYED)
    if status in PASSED_ON:
        error["content"][JSON]["schema"] = {"anyOf": [error["content"][JSON]["schema"], complaint]}
    return error


def _error(api: str, conditions: list[Condition]) -> Document:
    """One status, in the envelope of the API's clients."""
    surface = SURFACES["/v1/messages" if api == "messages" else "/v1/chat/completions"]
    example = json.loads(envelopes.body(Refusal(conditions[0]), surface, "id"))
    schema = _shape(example)
    schema["properties"]["error"]["properties"] |= {
        "type": {"const": example["error"]["type"]},
        "code": {"enum": [condition.code for condition in conditions]},
    }
    meanings = "; ".join(f"`{condition.code}`: {condition.meaning}" for condition in conditions)
    headers = _having(*_IDS, *_BESIDES.get(conditions[0].status, ()))
    return {"description": meanings, "headers": headers, "content": {JSON: {"schema": schema}}}


def _shape(example: Any) -> Document:
    if isinstance(example, dict):
        properties = {name: _shape(value) for name, value in example.items()}
        return {"type": "object", "properties": properties, "required": list(example), "additionalProperties": False}
    return {"type": "null"} if example is None else dict(TEXT)


def _headers() -> Document:
    return {
        **{name: {"description": told, "required": True, "schema": TEXT} for name, told in _IDS.items()},
        **{name: {"description": told, "schema": TEXT} for name, told in _ORIGIN.items()},
        **{name: {"description": told, "schema": {"type": "integer", "minimum": 0}} for name, told in _LIMITS.items()},
        "www-authenticate": {"description": "How to say who asks.", "schema": TEXT},
        "retry-after": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}},
        **{name: {"description": told, "schema": TEXT} for name, told in _REPLAYED.items()},
        "x-should-retry": {"description": "`false` where to ask again does not help.", "schema": {"const": "false"}},
    }


def _idempotency_key() -> Document:
    """HTTP takes blanks from both ends of a header."""
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The client's own name for the request: sent again, it gets the same answer, and no engine is "
        "asked twice.",
        "schema": TEXT | {"maxLength": LONGEST_KEY, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    }


def _having(*names: str) -> Document:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _reference(api: str, status: int) -> Document:
    return {"$ref": f"#/components/responses/{api}-{status}"}


def _page_error(conditions: list[Condition]) -> Document:
    """What most pages have in common is told once."""
    own = any(condition not in ADMIN for condition in conditions)
    return _error("page", conditions) if own else _reference("page", conditions[0].status)


def _get(page: Page) -> Document:
    answers = {"200": page.answer, **page.also}
    return {
        "summary": page.summary,
        **({"security": _SECURITY} if INVALID_API_KEY in page.conditions else {}),
        **({"parameters": list(page.parameters)} if page.parameters else {}),
        "responses": {
            **{status: {"description": page.summary, "content": {page.media: {"schema": schema}}}
               for status, schema in answers.items()},
            **{str(status): _page_error(found) for status, found in sorted(_by_status(page.conditions).items())},
        },
    }  # fmt: skip
