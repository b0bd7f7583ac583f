"""The client's own name for a request, and what tells two requests apart that bear the same one. Values in, values out.

Whether a header leads a request to another engine is the route files' matter, and these may change between two tries;
so headers of a `match` are not compared: who sends the key again asks for the same answer.
"""

from __future__ import annotations

import hashlib
import re

from nexus_gateway.errors import INVALID_IDEMPOTENCY_KEY, Refusal
from nexus_gateway.exchange import RequestHead
from nexus_gateway.keys import Key
from nexus_gateway.surfaces import Surface

HEADER = b"idempotency-key"
LONGEST_KEY = 255
"""Characters."""
_KEY = re.compile(rb"[\x20-\x7e]{1,%d}" % LONGEST_KEY)


def read_key(head: RequestHead) -> bytes | None:
    """None where the client gives none. Raises Refusal."""
    given = head.every(HEADER)
    if not given:
        return None
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        raise Refusal(INVALID_IDEMPOTENCY_KEY, "idempotency-key: give one, of 1 to 255 printable ASCII characters")
    return given[0]


def name_of(key: bytes, caller: Key, path: str) -> str:
    """Digest of the key, of who uses it and where: nobody finds what another credential or path has under the same key.
    Two keys of one tenant are two callers, since they may have been given to different services."""
    return _digest(key, caller.id.encode(), caller.subject.encode(errors="surrogatepass"), path.encode())


def fingerprint_of(head: RequestHead, surface: Surface, sent: bytes) -> str:
    """Digest of what the answer depends on by the client's will: the body as it came, the session, and the headers that
    the engine is told."""
    told = (value for name in surface.forwards for value in (name, *head.every(name), b""))
    return _digest(sent, head.first(b"x-nexus-session"), *told)


def _digest(*parts: bytes) -> str:
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(b"%d\0" % len(part))
        hasher.update(part)
    return hasher.hexdigest()
