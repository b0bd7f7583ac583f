"""Where a response is, and what is asked of who remembers it. Values in, values out.

An engine keeps what it has answered in its own memory and knows nothing of tenants. So the gateway remembers of each
response who asked for it and which endpoint made it; the id goes to the client as the engine has given it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Protocol

import msgspec

from nexus_gateway.exchange import Waiter

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,254}")
"""Of a response that can be asked for: a name that means nothing in a path."""

KEPT_SECONDS = 86_400.0
"""For which a response is remembered, where nothing else is set. Engines have no bound of their own but a restart."""


class Place(msgspec.Struct, frozen=True):
    owner: str
    """Who may ask for it; empty where nobody may any more."""
    model: str
    """The route by which it was made."""
    endpoint: str

    def seen_after(self, before: Place | None) -> Place:
        """What is remembered now. An id that two owners have had is nobody's: which of their answers the engine has
        under it cannot be known."""
        return self if before is None or before.owner == self.owner else NOBODYS


NOBODYS = Place("", "", "")


class Unknown(Exception):
    """Nobody can say just now whose a response is."""


class Places(Protocol):
    async def begin(self) -> None:
        """Before the first request, in the loop."""

    def note(self, response: str, place: Place) -> Waiter[None]:
        """Settled when whoever is asked next will find it. Never fails."""

    def find(self, response: str) -> Waiter[Place | None]:
        """Fails with Unknown."""

    async def close(self) -> None: ...


def name_of(response: str) -> str:
    """Of fixed form and length, whatever an engine calls its responses."""
    return hashlib.sha256(response.encode(errors="surrogatepass")).hexdigest()
