"""What an engine is told of a request."""

from __future__ import annotations

from nexus_gateway.asked import renamed
from nexus_gateway.candidates import Candidate, translated
from nexus_gateway.exchange import Headers
from nexus_gateway.masking.aside import LONG, aside
from nexus_gateway.masking.plan import Masking, plan_of
from nexus_gateway.masking.told_apart import told_apart
from nexus_gateway.masking.upstream import MaskedUpstream
from nexus_gateway.prefix_cache import keeps_prompts, names_salt, salt_of, salted
from nexus_gateway.request import Request
from nexus_gateway.routes_file import MaskingFile
from nexus_gateway.upstreams.messages_over_chat import MessagesOverChat, said_to_engine
from nexus_gateway.upstreams.protocol import Call, Upstream


def masking_of(request: Request, candidate: Candidate, copies: MaskingFile | None = None) -> Masking | None:
    """What is masked of one call; None, which costs nothing, where nobody asks for it. `copies`: what the rule of a
    copy says besides."""
    plan = plan_of(candidate.route.masking, request.caller.policy.masking, copies)
    return None if plan is None else Masking(plan)


async def body_of(request: Request, masking: Masking | None) -> bytes:
    """The client's body, as far as this engine may see it."""
    if masking is None:
        return request.body
    size = LONG if masking.plan.recognized_requests else len(request.body)  # they take long
    salt = request.salt + request.caller.key.owner.encode()
    return await aside(size, lambda: told_apart(request.body, masking.of_body(request.body), salt))


def call_of(request: Request, candidate: Candidate, span_id: str, body: bytes) -> Call:
    """Nothing of the client's own but the body: its credential and cookies stay here. `span_id`: what the engine is to
    take for the parent of its own spans. Raises Refusal where the body cannot be said in the engine's API."""
    client = request.exchange.head
    headers = [(b"content-type", b"application/json"), *_headers(request, candidate, span_id)]
    headers += [(name, value) for name in request.surface.forwards for value in client.every(name)]
    public = request.asked.model if candidate.route is request.route else candidate.route.name
    name = candidate.upstream.model or public
    if name != request.asked.model:
        body = renamed(body, name)
    if translated(candidate.upstream, request.surface):
        body = said_to_engine(client.path, body)
    if keeps_prompts(request.surface) and (candidate.upstream.salted or names_salt(body)):
        body = salted(body, salt_of(request.caller.key.owner, request.asked.cache_salt))
    return Call(client.path, headers, body, total_seconds=candidate.route.timeouts.total)


def kept_call_of(request: Request, candidate: Candidate, span_id: str) -> Call:
    """The same about a response that the engine keeps: all is said by path and query."""
    client = request.exchange.head
    target = f"{client.path}?{client.query.decode('latin-1')}" if client.query else client.path
    return Call(target, _headers(request, candidate, span_id), b"", client.method)


def _headers(request: Request, candidate: Candidate, span_id: str) -> Headers:
    headers: Headers = [
        (b"accept", b"application/json, text/event-stream"),
        (b"accept-encoding", b"identity"),
        *request.ids.headers_under(span_id),
    ]
    if candidate.upstream.authorization:
        headers.append((b"authorization", candidate.upstream.authorization))
    return headers


def engine_of(upstream: Upstream, request: Request, candidate: Candidate, masking: Masking | None) -> Upstream:
    """What speaks with the engine in the client's API."""
    spoken = MessagesOverChat(upstream) if translated(candidate.upstream, request.surface) else upstream
    if masking is None or not masking.plan.touches_answers:
        return spoken
    return MaskedUpstream(spoken, masking, request.surface)
