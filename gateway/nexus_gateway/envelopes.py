"""How the clients of each API are told of a condition, so that their own libraries raise their own errors."""

from __future__ import annotations

import json

from nexus_gateway.errors import Refusal
from nexus_gateway.surfaces import Surface

ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""By status, as Anthropic's reference of errors has them."""


def body(refusal: Refusal, surface: Surface, request_id: str) -> bytes:
    document = _anthropic(refusal, request_id) if surface.api == "messages" else {"error": refusal.envelope()}
    return json.dumps(document).encode()


def event(refusal: Refusal, surface: Surface, request_id: str) -> bytes:
    """The terminal event of a stream that has begun. The blank line before it ends whatever was cut off."""
    named = b"event: error\n" if surface.ends else b""
    document: dict[str, object] = {"error": refusal.envelope()}
    if surface.api == "messages":
        document = _anthropic(refusal, request_id)
    elif surface.api == "responses":
        document |= {"type": "error", "code": refusal.condition.code, "message": str(refusal), "param": None}
    return b"\n\n" + named + b"data: " + json.dumps(document).encode() + b"\n\n"


def _anthropic(refusal: Refusal, request_id: str) -> dict[str, object]:
    status = refusal.condition.status
    kind = ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    error = {"type": kind, "message": str(refusal), "code": refusal.condition.code}
    return {"type": "error", "error": error, "request_id": request_id}
