"""Texts of which C fills the places that differ from request to request: each is written once by who writes it in
Python, and cut up there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from nexus_gateway.straight.way import Way
from nexus_gateway.telemetry.audit import AuditLog
from nexus_gateway.telemetry.chain import MARK, ZEROS, canonical
from nexus_gateway.telemetry.gaps import Gaps
from nexus_gateway.telemetry.record import RequestRecord
from nexus_gateway.telemetry.request_line import request_text

if TYPE_CHECKING:
    from nexus_native import Form

_FIELDS = ("REQUEST_ID", "TRACE_ID", "SPAN_ID", "CALL_ID", "LENGTH", "NUMBER", "TIME", "MILLISECONDS", "FIRST_BYTE",
           "PROMPT", "COMPLETION", "CACHED", "LONGEST_GAP")  # fmt: skip
"""In the order of C's (gateway/native/nexus_native/forms.pxd)."""
_FLAGS = b"01"
_BOUND = MARK
"""What binds a line of the audit log to the one before is put in when it is written."""
_MEMBERS: Mapping[bytes, str | bytes] = {
    b"request_id": "REQUEST_ID", b"trace_id": "TRACE_ID", b"timestamp": "TIME", b"time": "TIME",
    b"duration_ms": "MILLISECONDS", b"first_byte_ms": "FIRST_BYTE", b"longest_gap_ms": "LONGEST_GAP",
    b"prompt_tokens": "PROMPT", b"completion_tokens": "COMPLETION", b"cached_tokens": "CACHED",
    b"previous": _BOUND, b"seq": _BOUND,
}  # fmt: skip
_MEMBER = re.compile(b'(?<=")(' + b"|".join(_MEMBERS) + b')(":"?)([^",}]*)')
"""Nowhere else in a line of JSON: within a text a backslash stands before each quote."""
_PLACE = re.compile("(%[sd%])")


def ask_form(way: Way) -> Form:
    """The head of what the engine is asked."""
    return _of_head(way.ask_form, ("REQUEST_ID", "TRACE_ID", "TRACE_ID", "CALL_ID", _FLAGS, "LENGTH"))


def answer_form(way: Way) -> Form:
    """The head of the answer, from behind the server's own headers."""
    return _of_head(way.answer_form + "\r\n", ["LENGTH", *_of_request(way)])


def stream_form(way: Way) -> Form | None:
    """The same of an answer that is a stream; None where the API has none."""
    if way.stream_form is None:
        return None
    return _of_head(way.stream_form + "\r\n", _of_request(way))


def log_form(way: Way, client: str, *, stream: bool) -> Form:
    """Of the line of an answer, in which nothing has to be masked."""
    record = _record(way, client)
    if stream:
        record.stream, record.gaps = True, Gaps()
    return _of_line(request_text(record, 1.0) or b"")  # of an answer of status 200 there is always one


def audit_form(audit: AuditLog, way: Way) -> Form:
    """Without its place in the chain, see `chain.bound_text`."""
    record = _record(way, "")
    return _of_line(canonical({**audit.decision(0.0, record.model, record), "previous": ZEROS, "seq": 0}))


def _of_request(way: Way) -> list[str | bytes]:
    """Whose answer it is, and what it leaves of the caller's limits."""
    limits = way.caller.limits
    numbers = 3 * sum(limit is not None for limit in (limits.requests, limits.tokens))
    return ["REQUEST_ID", "TRACE_ID", "TRACE_ID", "SPAN_ID", _FLAGS, *["NUMBER"] * numbers]


def _record(way: Way, client: str) -> RequestRecord:
    route, upstream = way.candidate.route, way.candidate.upstream
    return RequestRecord(
        "POST", way.surface.path, client, 0.0, "0" * 32, "0" * 32, status=200, key_id=way.caller.key.id,
        tenant=way.caller.tenant, route=route.name, upstream=upstream.name, release=upstream.release,
        revision=way.revision, first_byte=1.0, ended=1.0, model=route.name,
    )  # fmt: skip


def _of_head(form: str, places: Iterable[str | bytes]) -> Form:
    """`form`: as Python fills it, with `places`: those that are always the same are bytes."""
    left, parts = iter(places), list[str | bytes]()
    for part in _PLACE.split(form):
        parts.append(b"%" if part == "%%" else next(left) if part in ("%s", "%d") else part.encode("latin-1"))
    return _form(parts)


def _of_line(text: bytes) -> Form:
    parts, end = list[str | bytes](), 0
    for found in _MEMBER.finditer(text):
        parts += (text[end : found.start(3)], _MEMBERS[found[1]])
        end = found.end()
    return _form([*parts, text[end:]])


def _form(parts: Iterable[str | bytes]) -> Form:
    """Texts, and names of fields."""
    from nexus_native import Form

    pieces, fields = [b""], list[int]()
    for part in parts:
        if isinstance(part, bytes):
            pieces[-1] += part
        else:
            fields.append(_FIELDS.index(part))
            pieces.append(b"")
    return Form(tuple(pieces), tuple(fields))
