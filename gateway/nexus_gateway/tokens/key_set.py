"""A JSON Web Key Set (RFC 7517): which of its keys may check a token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

from nexus_gateway.tokens.compact import KID
from nexus_gateway.tokens.public_key import usable
from nexus_gateway.tokens.settings import RS256
from nexus_gateway.tokens.strict_json import json_object

KeySet = Mapping[str, RSAPublicKey]
"""By kid."""


class BadKeySet(Exception):
    """A key set that is not taken; the one before it stays."""


def read_key_set(raw: bytes) -> KeySet:
    """Skips what is no RSA key for signatures by RS256. Raises BadKeySet where none is left, or a kid stands twice."""
    try:
        listed = json_object(raw).get("keys")
    except (ValueError, RecursionError):
        raise BadKeySet("no JSON object") from None
    if not isinstance(listed, list):
        raise BadKeySet("no list of keys")
    found: dict[str, RSAPublicKey] = {}
    for entry in listed:
        key = _key(entry)
        if key is None:
            continue
        if entry["kid"] in found:
            raise BadKeySet("a kid stands twice")
        found[entry["kid"]] = key
    if not found:
        raise BadKeySet("no key for RS256")
    return found


def _key(entry: Any) -> RSAPublicKey | None:
    if not isinstance(entry, dict) or not _for_signatures(entry):
        return None
    kid = entry.get("kid")
    if not isinstance(kid, str) or not KID.fullmatch(kid):
        return None
    try:
        key = RSAAlgorithm.from_jwk({name: entry[name] for name in ("kty", "n", "e")})
    except Exception:  # the library lets through whatever its parts raise; a key that cannot be read is skipped
        return None
    return key if usable(key) else None


def _for_signatures(entry: Mapping[str, Any]) -> bool:
    """A key with its private half is known to everybody, so it says nothing."""
    operations = entry.get("key_ops", ["verify"])
    return (
        entry.get("kty") == "RSA"
        and entry.get("use", "sig") == "sig"
        and entry.get("alg", RS256) == RS256
        and isinstance(operations, list)
        and "verify" in operations
        and "d" not in entry
    )
