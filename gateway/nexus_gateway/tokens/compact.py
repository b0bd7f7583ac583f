"""A token's three parts (RFC 7515, compact serialization), read before anybody believes them."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nexus_gateway.tokens.bad_token import BadToken
from nexus_gateway.tokens.strict_json import json_object

LARGEST = 8 << 10
"""Bytes of a token."""

KID = re.compile(r"[A-Za-z0-9._~:@+/=-]{1,128}")
"""Thumbprints, UUIDs, base64 and dates are written in it. It names a key in a table, and never a file."""

_TYPES = ("jwt", "at+jwt", "application/at+jwt")
"""RFC 8725, 3.11: a token that was made for another purpose says so."""

_NEVER = frozenset({"crit", "b64", "jku", "jwk", "x5u", "x5c", "enc", "zip"})
"""What would bring its own key, have one fetched, or change what is signed."""


@dataclass(frozen=True, slots=True)
class Compact:
    algorithm: str
    kid: str | None
    payload: Mapping[str, Any]
    signed: bytes
    """The bytes that the signature is of."""
    signature: bytes


def read_compact(token: bytes) -> Compact:
    """Raises BadToken."""
    if len(token) > LARGEST:
        raise BadToken(f"longer than {LARGEST} bytes")
    parts = token.split(b".")
    if len(parts) != 3:
        raise BadToken("not of three parts")
    header, payload, signature = map(_decoded, parts)
    fields = _object("header", header)
    if not fields.keys().isdisjoint(_NEVER):
        raise BadToken("header: holds a field that is never taken")
    return Compact(
        algorithm=_algorithm(fields),
        kid=_kid(fields),
        payload=_object("payload", payload),
        signed=token.rpartition(b".")[0],
        signature=signature,
    )


def _decoded(part: bytes) -> bytes:
    """There is one way to write each part, so that a token has one digest."""
    try:
        decoded = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        raise BadToken("a part is no base64url") from None
    if not decoded or base64.urlsafe_b64encode(decoded).rstrip(b"=") != part:
        raise BadToken("a part is empty or no strict base64url")
    return decoded


def _object(part: str, data: bytes) -> Mapping[str, Any]:
    try:
        return json_object(data)
    except (ValueError, RecursionError):
        raise BadToken(f"{part}: no strict JSON object") from None


def _algorithm(header: Mapping[str, Any]) -> str:
    algorithm, kind = header.get("alg"), header.get("typ", "JWT")
    if not isinstance(algorithm, str):
        raise BadToken("alg: no text")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise BadToken("typ: no JWT")
    return algorithm


def _kid(header: Mapping[str, Any]) -> str | None:
    if "kid" not in header:
        return None
    kid = header["kid"]
    if not isinstance(kid, str) or not KID.fullmatch(kid) or ".." in kid:
        raise BadToken("kid: no name of a key")
    return kid
