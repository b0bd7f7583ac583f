"""How long a request's body may take, and what is told of one that is too slow or too large."""

from __future__ import annotations

from nexus_gateway.asked import LARGEST
from nexus_gateway.errors import BODY_TIMEOUT, BODY_TOO_LARGE, Refusal

BODY_SECONDS = 30.0
"""For the whole body."""

# What was not read is still on its way, so that the connection cannot carry another request.
_CLOSE = ((b"connection", b"close"),)


def too_slow() -> Refusal:
    return Refusal(BODY_TIMEOUT, headers=_CLOSE)


def too_large() -> Refusal:
    return Refusal(BODY_TOO_LARGE, f"the body is larger than {LARGEST} bytes", headers=_CLOSE)
