"""What is kept of answers, and what the story asks of where it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import msgspec

from nexus_gateway.exchange import Headers, Waiter


class Kept(msgspec.Struct, frozen=True):
    """A whole answer, and what made it."""

    status: int
    headers: Headers
    """Those that belong to the answer: ids and limits are the request's, and are not among them."""
    body: bytes
    request_id: str
    """Of the request that was sent to an engine."""
    route: str
    upstream: str
    release: str
    revision: str
    fallback_model: str

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.body) + sum(len(name) + len(value) for name, value in self.headers)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right, and the duty, to call an engine for a name. Ends by `keep` or `free`."""

    name: str
    fingerprint: str
    token: str = ""
    """By which a shared store knows its holder; empty where this process alone knows of the claim."""


@dataclass(frozen=True, slots=True)
class Held:
    """Another gateway has the claim."""

    freed: Waiter[None]
    """Settled when it is worth asking again: its holder has kept an answer or has given up, or its lease is over."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """The name belongs to a request with another fingerprint."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nobody can say, and it is set that nobody calls an engine then."""


Found = Claim | Kept | Held | Conflict | Unavailable


class Store(Protocol):
    @property
    def shared(self) -> bool:
        """True while all gateways know of each other's claims."""

    async def begin(self) -> None:
        """Before the first request, in the loop."""

    def claim(self, name: str, fingerprint: str) -> Waiter[Found]: ...

    def keep(self, claim: Claim, answer: Kept) -> Waiter[bool]:
        """False where it could not be kept. Ends the claim in any case."""

    def free(self, claim: Claim) -> None:
        """The next one who asks gets the claim. Never waits and never raises."""

    async def close(self) -> None: ...
