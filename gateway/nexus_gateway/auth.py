"""Who asks. Both headers share one path; whatever goes wrong is one and the same refusal."""

from __future__ import annotations

from nexus_gateway.errors import INVALID_API_KEY, MISSING_SCOPE, Refusal
from nexus_gateway.exchange import RequestHead
from nexus_gateway.keys import Key, Keys, digest

_CHALLENGE = ((b"www-authenticate", b'Bearer realm="nexus"'),)


def authenticate(head: RequestHead, keys: Keys) -> Key:
    """Raises Refusal. Closed: any fault in here is a refusal, never an anonymous caller."""
    try:
        presented = {_bearer(value) for value in head.every(b"authorization")} | set(head.every(b"x-api-key"))
        if len(presented) == 1 and (key := keys.get(digest(presented.pop()))):
            return key
    except Exception:  # noqa: S110 - a fault in reading a credential must not become an answer
        pass
    raise Refusal(INVALID_API_KEY, headers=_CHALLENGE)


def administrator(head: RequestHead, keys: Keys) -> Key:
    key = authenticate(head, keys)
    if not key.admin:
        raise Refusal(MISSING_SCOPE)
    return key


def _bearer(value: bytes) -> bytes:
    """Raises ValueError for any other scheme."""
    scheme, _, token = value.partition(b" ")
    if scheme.lower() != b"bearer" or not token:
        raise ValueError("no bearer token")
    return token.strip()
