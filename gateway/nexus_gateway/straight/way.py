"""What is the same for every request of one caller for one model by one API, as long as one snapshot is served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus_gateway.admission import headers_of
from nexus_gateway.asked import Asked, renamed
from nexus_gateway.candidates import Candidate, translated
from nexus_gateway.exchange import Headers
from nexus_gateway.gateway import Gateway
from nexus_gateway.keys import Key
from nexus_gateway.limits.windows import Quota, Verdict
from nexus_gateway.policy import Caller
from nexus_gateway.prefix_cache import keeps_prompts, salt_of, salted
from nexus_gateway.relay import STREAM_HEADERS, origin
from nexus_gateway.snapshot import Snapshot
from nexus_gateway.surfaces import Surface
from nexus_gateway.telemetry.record import RequestRecord
from nexus_gateway.telemetry.usual import Kind, Usual
from nexus_gateway.trace import Trace
from nexus_gateway.upstream_call import JSON, lines_for
from nexus_gateway.upstreams.http import HttpUpstream
from nexus_gateway.upstreams.protocol import Call, written

if TYPE_CHECKING:
    from nexus_native import Form

_APIS = ("chat", "completions", "embeddings", "rerank")
"""Whose answers are noted nowhere, and whose clients say nothing to the engine but the body."""
_IDS = Trace("\0request\0", "\0trace\0", "\0span\0", "\0flags\0")
_CALL = "\0call\0"
_NUMBER = "\0number\0"
_ANY = Quota(0, 0, 0)
_PLACES = (_IDS.request_id, _IDS.trace_id, _IDS.span_id, _IDS.flags, _CALL)


class Way:
    __slots__ = ("answer_form", "ask_form", "caller", "candidate", "endpoint", "holds", "kind", "limited", "log_forms",
                 "model", "name", "native", "pool", "revision", "salted", "salts", "stream_form", "surface",
                 "usual")  # fmt: skip

    def __init__(
        self,
        gateway: Gateway,
        snapshot: Snapshot,
        caller: Caller,
        surface: Surface,
        candidate: Candidate,
        pool: HttpUpstream,
    ) -> None:
        upstream = candidate.upstream
        self.caller, self.surface, self.candidate, self.pool = caller, surface, candidate, pool
        self.revision = snapshot.revision
        self.endpoint = candidate.endpoint.id
        self.name = candidate.route.name
        """Of the model, as clients call it."""
        self.model = upstream.model or candidate.route.name
        """As the engine calls it."""
        self.salts, self.salted = keeps_prompts(surface), upstream.salted
        policy = caller.policy
        self.holds = policy.passthrough is not None or policy.max_tokens is not None
        """Whether a body is held to the policy before it goes on."""
        self.limited = caller.limits.requests is not None or caller.limits.tokens is not None
        lines = JSON + lines_for(_IDS, upstream, _CALL)
        said = pool.written(Call(surface.path, lines, b""))
        self.ask_form = _form(said.removesuffix(b"0\r\n\r\n")) + "%d\r\n\r\n"
        """Takes request id, trace id, trace id, span of the call, flags, length of the body."""
        whole = [(b"content-type", b"application/json"), (b"content-length", _NUMBER.encode())]
        self.answer_form = _answer_form(snapshot, caller, candidate, whole, [])
        """Takes length of the body, request id, trace id, trace id, span, flags, and the numbers of the quotas."""
        framed = [(b"transfer-encoding", b"chunked")]
        streams = surface.streams
        self.stream_form = _answer_form(snapshot, caller, candidate, STREAM_HEADERS, framed) if streams else None
        """The same of a stream, without a length; None where the API has none."""
        self.kind: Kind = ("POST", surface.path, 200, candidate.route.name, upstream.release, upstream.name, "200")
        self.native = True
        """False once it is known that it is none for C."""
        self.log_forms: dict[str, tuple[Form, Form]] = {}
        """By the client's address."""
        self.usual: Usual | None = None
        """The figures of its answers, once there is one: what has never been counted is in no scrape."""

    def said(self, asked: Asked, body: bytes) -> bytes:
        """What the engine is told of a body, see `call_of`."""
        if self.model != asked.model:
            body = renamed(body, self.model)
        if self.salts and (self.salted or asked.cache_salt is not None):
            body = salted(body, salt_of(self.caller.key.owner, asked.cache_salt))
        return body


def way_of(gateway: Gateway, snapshot: Snapshot, key: Key, model: str, surface: Surface) -> Way | None:
    """None where the story has to decide."""
    if key.subject or surface.api not in _APIS or surface.forwards:
        return None
    caller, route = snapshot.standing.caller(key), snapshot.table.routes.get(model)
    if route is None or route.name != model or not caller.may_use(model):
        return None
    if route.shadow is not None or route.masking is not None or caller.policy.masking is not None:
        return None
    candidate = snapshot.standing.only(route, surface)
    if candidate is None or candidate.upstream.max_parallel is not None or translated(candidate.upstream, surface):
        return None
    if not (route.name + candidate.upstream.release).isprintable():  # the story refuses to write such a header
        return None
    pool = gateway.upstream(snapshot, candidate.endpoint)
    return Way(gateway, snapshot, caller, surface, candidate, pool) if isinstance(pool, HttpUpstream) else None


def _answer_form(snapshot: Snapshot, caller: Caller, candidate: Candidate, own: Headers, last: Headers) -> str:
    record = RequestRecord("POST", "", "", 0.0, revision=snapshot.revision, route=candidate.route.name)
    record.release = candidate.upstream.release
    limits = caller.limits
    quotas = _ANY if limits.requests is not None else None, _ANY if limits.tokens is not None else None
    record.limit_headers = [(name, _NUMBER.encode()) for name, _ in headers_of(Verdict(True, "", 0, *quotas))]
    return _form(written([*own, *origin(_IDS, record), *last])).replace(_NUMBER, "%d")


def _form(text: bytes) -> str:
    """With `%s` for each id, in their order; percent signs of the text are doubled."""
    form = text.decode("latin-1").replace("%", "%%")
    for place in _PLACES:
        form = form.replace(place, "%s")
    return form
