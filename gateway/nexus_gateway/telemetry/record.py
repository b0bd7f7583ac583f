"""What is known of one request at its end: the source of its log line and of its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from nexus_gateway.exchange import NO_HEADERS, Headers
from nexus_gateway.routes_file import TelemetryFile
from nexus_gateway.telemetry.gaps import Gaps

if TYPE_CHECKING:
    from nexus_gateway.decisions.considered import Considered
    from nexus_gateway.placing.placements import Placed
    from nexus_gateway.routes import Upstream


Masked = Mapping[str, Mapping[str, int]]
NOTHING_MASKED: Masked = {}


@dataclass(slots=True)
class Try:
    """One call of an engine."""

    upstream: str
    started: float
    span_id: str = ""
    """As the engine was told it."""
    url: str = ""
    """Of the endpoint."""
    model: str = ""
    """The engine's own name for it, else the route's."""
    route: str = ""
    release: str = ""
    status: str = ""
    """The engine's, or `error` where no answer has come whole, or `cancelled` where the client left before it began."""
    ended: float = 0.0
    opened_circuit: bool = False
    failure: str = ""
    """Code of the condition that ended it; empty for an answer."""


class Paired(Protocol):
    """Something else that was done for the same request and is told beside it."""

    def told(self) -> None:
        """The request has ended."""


@dataclass(slots=True)
class RequestRecord:
    method: str
    path: str
    """Route template."""
    client: str
    started: float
    """Of a clock that does not go back."""
    request_id: str = ""
    trace_id: str = ""
    span_id: str = ""
    parent_id: str = ""
    """The span of the client; empty where it told none."""
    sampled: bool = False
    """Whether the request is to be traced."""
    status: int = 0
    key_id: str = ""
    tenant: str = ""
    """Whose figures the request is counted in (policy.py); empty where the caller is unknown."""
    route: str = ""
    upstream: str = ""
    release: str = ""
    revision: str = ""
    code: str = ""
    """Of the condition that ended it; empty for an answer."""
    reason: str = ""
    stream: bool = False
    first_byte: float = 0.0
    """When the answer's first byte went out; 0 where none did."""
    ended: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt's."""
    request_bytes: int = 0
    """Of the request's body."""
    answer_bytes: int = 0
    """Of the answer's body, as the engine gave it."""
    gaps: Gaps | None = None
    """Of a stream that has begun."""
    events: int = 0
    """Of a stream that were relayed; about a token each."""
    ending: str = ""
    """Why the answer ended, by the engine's account (endings.py); empty where it gave none, and for a stream also
    where no decisions are kept and none was drawn."""
    model: str = ""
    """The route that was asked for."""
    fallback_model: str = ""
    """The route that answered instead; empty where the one that was asked for did."""
    telemetry: TelemetryFile | None = None
    """Which requests like this one are logged; None where all are, or where it has no route."""
    limited: str = ""
    """`requests`, `tokens` or `parallel`, where a limit has turned it away."""
    limit_headers: Headers = field(default_factory=lambda: NO_HEADERS)
    """What the caller has left, as the answer's headers tell it."""
    idempotency: str = ""
    """What came of its idempotency key; empty where it has none."""
    masked: Masked = field(default_factory=lambda: NOTHING_MASKED)
    """`requests` or `answers` -> kind -> different values that were masked for the engine that was asked last."""
    shadow: Paired | None = None
    """Of a request that was copied."""
    considered: Considered | None = None
    """How its engines were chosen, where decisions are kept."""
    drawn: Upstream | None = None
    """The one that the split of the route that was asked for has drawn; None where nothing was split, or a header or an
    earlier response has decided."""
    placed: Placed | None = None
    """How the endpoint that was asked last was chosen; None where its upstream does not choose by prefix."""
    tries: list[Try] = field(default_factory=list)
    retries: tuple[str, ...] = ()
    """For each engine that was asked after another: the code of what the one before failed of."""
