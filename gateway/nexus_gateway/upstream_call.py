"""What an engine is told of a request."""

from __future__ import annotations

from nexus_gateway.asked import renamed
from nexus_gateway.candidates import Candidate, translated
from nexus_gateway.exchange import Headers
from nexus_gateway.request import Request
from nexus_gateway.upstreams.messages_over_chat import MessagesOverChat, said_to_engine
from nexus_gateway.upstreams.protocol import Call, Upstream


def call_of(request: Request, candidate: Candidate, span_id: str) -> Call:
    """Nothing of the client's own but the body: its credential and cookies stay here. `span_id`: what the engine is to
    take for the parent of its own spans. Raises Refusal where the body cannot be said in the engine's API."""
    headers: Headers = [
        (b"content-type", b"application/json"),
        (b"accept", b"application/json, text/event-stream"),
        (b"accept-encoding", b"identity"),
        *request.ids.headers_under(span_id),
    ]
    client = request.exchange.head
    headers += [(name, value) for name in request.surface.forwards for value in client.every(name)]
    if candidate.upstream.authorization:
        headers.append((b"authorization", candidate.upstream.authorization))
    public = request.asked.model if candidate.route is request.route else candidate.route.name
    name = candidate.upstream.model or public
    body = request.body if name == request.asked.model else renamed(request.body, name)
    if translated(candidate.upstream, request.surface):
        body = said_to_engine(client.path, body)
    return Call(client.path, headers, body)


def engine_of(upstream: Upstream, request: Request, candidate: Candidate) -> Upstream:
    """What speaks with the engine in the client's API."""
    return MessagesOverChat(upstream) if translated(candidate.upstream, request.surface) else upstream
