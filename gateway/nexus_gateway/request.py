"""What is known of one request once it has been read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nexus_gateway.asked import Asked
from nexus_gateway.candidates import Wanted
from nexus_gateway.exchange import Exchange, RequestHead
from nexus_gateway.policy import Caller
from nexus_gateway.routing import Route, bucket
from nexus_gateway.snapshot import Snapshot
from nexus_gateway.surfaces import Surface
from nexus_gateway.telemetry.record import RequestRecord
from nexus_gateway.trace import Trace

_NOTHING_MORE = Asked("")

if TYPE_CHECKING:
    from nexus_gateway.placing.remembered import Recalled


def session_key(caller: Caller, head: RequestHead, asked: Asked, surface: Surface) -> str:
    """Of the client's session or user, within its own key; empty where it names neither."""
    session = head.first(b"x-nexus-session").decode("latin-1") or asked.speaker(surface)
    return f"{caller.key.owner}\0{session}" if session else ""


@dataclass(slots=True)  # not frozen, which makes it three times as slow: one is made for each request
class Request:
    exchange: Exchange
    snapshot: Snapshot
    ids: Trace
    record: RequestRecord
    caller: Caller
    surface: Surface
    asked: Asked
    sent: bytes
    """The body as it came."""
    body: bytes
    """As it goes to engines of the model that was asked for."""
    route: Route
    holder: str = ""
    """See `Wanted`."""
    recalled: Recalled | None = None
    """Who has answered the conversation lately, where that is remembered."""
    salt: bytes = field(default=b"", repr=False)
    """See `Gateway`."""
    size: int = field(init=False)
    """Bytes of `body`."""

    def __post_init__(self) -> None:
        self.size = len(self.body)

    def let_go(self) -> None:
        """Of what only another try would need, once the answer has begun: a stream may be open for minutes, and the
        client's words were most of what it held. A copy of the request may not have been sent yet, and has the same."""
        if self.record.shadow is None:
            self.sent = self.body = b""
            self.asked = _NOTHING_MORE  # the fields that it has as they came hold the body
            self.exchange.head.let_go()

    @property
    def sticky_key(self) -> str:
        """What keeps a conversation with one release: the client's session or user, within its own key; else an id
        that we have made, never one that the client could choose its release by."""
        return session_key(self.caller, self.exchange.head, self.asked, self.surface) or self.ids.span_id

    @property
    def wanted(self) -> Wanted:
        key, first = self.sticky_key, self.exchange.head.first
        return Wanted(
            self.route,
            self.surface,
            place=lambda route: bucket(route, key),
            holds=lambda match: first(match.header) == match.value,
            allowed=self.caller.may_use,
            holder=self.holder,
        )
