"""What an engine is told of a request."""

from __future__ import annotations

from nexus_gateway import routes
from nexus_gateway.asked import renamed
from nexus_gateway.candidates import Candidate, translated
from nexus_gateway.masking.aside import LONG, aside
from nexus_gateway.masking.plan import Masking, plan_of
from nexus_gateway.masking.told_apart import told_apart
from nexus_gateway.masking.upstream import MaskedUpstream
from nexus_gateway.prefix_cache import keeps_prompts, names_salt, salt_of, salted
from nexus_gateway.request import Request
from nexus_gateway.routes_file import MaskingFile
from nexus_gateway.trace import Trace
from nexus_gateway.upstreams.messages_over_chat import MessagesOverChat, said_to_engine
from nexus_gateway.upstreams.protocol import Call, Upstream, written

JSON = b"content-type: application/json\r\n"
_ACCEPT = b"accept: application/json, text/event-stream\r\naccept-encoding: identity\r\n"


def masking_of(request: Request, candidate: Candidate, copies: MaskingFile | None = None) -> Masking | None:
    """What is masked of one call; None, which costs nothing, where nobody asks for it. `copies`: what the rule of a
    copy says besides."""
    of_route, of_caller = candidate.route.masking, request.caller.policy.masking
    if of_route is None and of_caller is None and copies is None:
        return None
    plan = plan_of(of_route, of_caller, copies)
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
    client, surface, upstream, asked = request.exchange.head, request.surface, candidate.upstream, request.asked
    lines = JSON + lines_for(request.ids, upstream, span_id)
    if surface.forwards:
        lines += written([(name, value) for name in surface.forwards for value in client.every(name)])
    public = asked.model if candidate.route is request.route else candidate.route.name
    name = upstream.model or public
    # Of the client's own body it is known already; to search through it once more costs as much as reading it did.
    salts = asked.cache_salt is not None if body is request.body else names_salt(body)
    if name != asked.model:
        body = renamed(body, name)
    if translated(upstream, surface):
        body = said_to_engine(client.path, body)
        salts = names_salt(body)
    if (salts or upstream.salted) and keeps_prompts(surface):
        body = salted(body, salt_of(request.caller.key.owner, asked.cache_salt))
    return Call(client.path, lines, body, total_seconds=candidate.route.timeouts.total)


def kept_call_of(request: Request, candidate: Candidate, span_id: str) -> Call:
    """The same about a response that the engine keeps: all is said by path and query."""
    client = request.exchange.head
    target = f"{client.path}?{client.query.decode('latin-1')}" if client.query else client.path
    return Call(target, lines_for(request.ids, candidate.upstream, span_id), b"", client.method)


def lines_for(ids: Trace, upstream: routes.Upstream, span_id: str) -> bytes:
    """Headers of a call, but for those of its body."""
    lines = _ACCEPT + ids.lines_under(span_id)
    if upstream.authorization:
        lines += b"authorization: %b\r\n" % upstream.authorization
    return lines


def engine_of(upstream: Upstream, request: Request, candidate: Candidate, masking: Masking | None) -> Upstream:
    """What speaks with the engine in the client's API."""
    spoken = MessagesOverChat(upstream) if translated(candidate.upstream, request.surface) else upstream
    if masking is None or not masking.plan.touches_answers:
        return spoken
    return MaskedUpstream(spoken, masking, request.surface)
