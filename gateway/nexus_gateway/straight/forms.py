"""Texts of which C fills the places that differ from request to request: each is written once by who writes it in
Python, with marks in those places, and cut up there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nexus_gateway.straight.way import Way
from nexus_gateway.telemetry.audit import AuditLog
from nexus_gateway.telemetry.chain import MARK, canonical
from nexus_gateway.telemetry.logs import timestamp
from nexus_gateway.telemetry.record import RequestRecord
from nexus_gateway.telemetry.request_line import request_text

if TYPE_CHECKING:
    from nexus_native import Form

_REQUEST, _TRACE, _SPAN, _CALL, _FLAGS = "f0a1" * 8, "e1b2" * 8, "d2c3" * 4, "c3d4" * 4, "01"
_LENGTH, _PROMPT, _COMPLETION, _CACHED, _NUMBER = 987654301, 987654302, 987654303, 987654304, 987654305
_SEQ, _PREVIOUS, _SECONDS = 987654306, "b4" * 32, 98765.4321
_TIME = timestamp(0.0)
_FIELDS = ("REQUEST_ID", "TRACE_ID", "SPAN_ID", "CALL_ID", "LENGTH", "NUMBER", "TIME", "MILLISECONDS", "PROMPT",
           "COMPLETION", "CACHED")  # fmt: skip
"""In the order of C's (gateway/native/nexus_native/forms.pxd)."""
_MARKS: Mapping[bytes, str] = {
    _REQUEST.encode(): "REQUEST_ID", _TRACE.encode(): "TRACE_ID", _SPAN.encode(): "SPAN_ID", _CALL.encode(): "CALL_ID",
    b"%d" % _LENGTH: "LENGTH", b"%d" % _NUMBER: "NUMBER", _TIME.encode(): "TIME", b"%.3f" % (_SECONDS * 1000):
    "MILLISECONDS", b"%d" % _PROMPT: "PROMPT", b"%d" % _COMPLETION: "COMPLETION", b"%d" % _CACHED: "CACHED",
}  # fmt: skip
_ANY = re.compile(b"(" + b"|".join(map(re.escape, _MARKS)) + b")")


def ask_form(way: Way) -> Form:
    """The head of what the engine is asked."""
    return _form((way.ask_form % (_REQUEST, _TRACE, _TRACE, _CALL, _FLAGS, _LENGTH)).encode("latin-1"))


def answer_form(way: Way) -> Form:
    """The head of the answer, from behind the server's own headers."""
    limits = way.caller.limits
    numbers = [_NUMBER] * 3 * sum(limit is not None for limit in (limits.requests, limits.tokens))
    said = way.answer_form % (_LENGTH, _REQUEST, _TRACE, _TRACE, _SPAN, _FLAGS, *numbers)
    return _form(said.encode("latin-1") + b"\r\n")


def log_form(way: Way, revision: str, client: str) -> Form:
    """Of the line of an answer, in which nothing has to be masked."""
    text = request_text(_record(way, revision, client), 1.0) or b""
    before, _, behind = text.partition(b'"timestamp":"')
    return _form(before + b'"timestamp":"' + _TIME.encode() + behind[len(_TIME) :])


def audit_form(audit: AuditLog, way: Way, revision: str) -> Form:
    """Without its place in the chain, see `chain.bound_text`."""
    record = _record(way, revision, "")
    text = canonical({**audit.decision(0.0, record.model, record), "previous": _PREVIOUS, "seq": _SEQ})
    return _form(text.replace(_PREVIOUS.encode(), MARK).replace(b"%d" % _SEQ, MARK))


def _record(way: Way, revision: str, client: str) -> RequestRecord:
    route, upstream = way.candidate.route, way.candidate.upstream
    return RequestRecord(
        "POST", way.surface.path, client, 0.0, _REQUEST, _TRACE, _SPAN, status=200, key_id=way.caller.key.id,
        tenant=way.caller.tenant, route=route.name, upstream=upstream.name, release=upstream.release,
        revision=revision, first_byte=_SECONDS, ended=_SECONDS, prompt_tokens=_PROMPT, completion_tokens=_COMPLETION,
        cached_tokens=_CACHED, model=route.name,
    )  # fmt: skip


def _form(text: bytes) -> Form:
    from nexus_native import Form

    parts = _ANY.split(text)
    return Form(tuple(parts[::2]), tuple(_FIELDS.index(_MARKS[mark]) for mark in parts[1::2]))
