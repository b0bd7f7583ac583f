"""Who asks: by a key, or by a signed token. Both headers share one path; whatever goes wrong is one and the same
refusal."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nexus_gateway.errors import INVALID_API_KEY, MISSING_SCOPE, Refusal
from nexus_gateway.exchange import RequestHead
from nexus_gateway.key_ring import KeyRing
from nexus_gateway.keys import Key, digest

if TYPE_CHECKING:
    from nexus_gateway.tokens.claims import Claims
    from nexus_gateway.tokens.verify import TokenVerifier

_CHALLENGE = ((b"www-authenticate", b'Bearer realm="nexus"'),)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the gateway knows callers by."""

    ring: KeyRing
    tokens: TokenVerifier | None = None
    """None where no token is taken."""


async def authenticate(head: RequestHead, known: Credentials) -> Key:
    """Raises Refusal. Closed: any fault in here is a refusal, never an anonymous caller."""
    try:
        only = _sole_key(head, known.ring)  # as nearly all have it
        if only is not None:
            return only
        presented = {_bearer(value) for value in head.every(b"authorization")} | set(head.every(b"x-api-key"))
        if len(presented) == 1:
            credential = presented.pop()
            if key := known.ring.find(digest(credential), time.time()):
                return key
            if known.tokens is not None and credential.count(b".") == 2:
                return bearer_of(await known.tokens.verify(credential))
    except Exception:  # noqa: S110 - a fault in reading a credential must not become an answer
        pass
    raise Refusal(INVALID_API_KEY, headers=_CHALLENGE)


async def administrator(head: RequestHead, known: Credentials) -> Key:
    key = await authenticate(head, known)
    if not key.admin:
        raise Refusal(MISSING_SCOPE)
    return key


def bearer_of(claims: Claims) -> Key:
    """A subject may be a person's name, so that logs and limits know it by its digest."""
    name = hashlib.sha256(claims.subject.encode(errors="surrogatepass")).hexdigest()[:16]
    return Key(f"jwt-{name}", claims.models, admin=False, subject=claims.subject)


def _sole_key(head: RequestHead, ring: KeyRing) -> Key | None:
    """Where one header alone has a credential, and that is a key of the ring. None says nothing."""
    sole = sole_digest(head)
    return None if sole is None else ring.find(sole, time.time())


def sole_digest(head: RequestHead) -> bytes | None:
    """Of the credential, where one header alone has one, and in the form that nearly all clients write."""
    firsts = head.firsts
    if len(firsts) != len(head.headers) or b"x-api-key" in firsts or b"authorization" not in firsts:
        return None
    value = firsts[b"authorization"]
    found = value[7:].strip() if value.startswith(b"Bearer ") else b""
    return digest(found) if found else None


def _bearer(value: bytes) -> bytes:
    """Raises ValueError for any other scheme."""
    if value.startswith(b"Bearer ") and (found := value[7:].strip()):  # as all clients write it
        return found
    scheme, _, token = value.partition(b" ")
    if scheme.lower() != b"bearer" or not token:
        raise ValueError("no bearer token")
    return token.strip()
