"""The log line of a request, from its record: values in, a value out."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

from nexus_gateway.telemetry.logs import head_of, mask, text_of, timestamp
from nexus_gateway.telemetry.record import RequestRecord

_LINE = (
    b'{"timestamp":"%b","level":"info","logger":"nexus.gateway","message":"request","request_id":"%b","trace_id":"%b",'
    b'%b,"status":%d,"duration_ms":%.3f,%b,"stream":%b,"prompt_tokens":%d,"completion_tokens":%d,"cached_tokens":%d,'
    b'"sample_rate":%b%b}\n'
)


_ALWAYS = b"1.0"


def request_line(record: RequestRecord, rate: float) -> dict[str, Any]:
    """`rate`: the share of such lines that is written."""
    status = record.status
    line = {
        **head_of("request", "error" if status >= 500 else "warning" if status >= 400 else "info"),
        "request_id": record.request_id,
        "trace_id": record.trace_id,
        "method": record.method,
        "path": record.path,
        "status": status,
        "duration_ms": round((record.ended - record.started) * 1000, 3),
        "upstream": record.upstream or None,
        "fallback_model": record.fallback_model or None,
        "client_ip": mask(record.client),
        "route": record.route or None,
        "release": record.release or None,
        "revision": record.revision or None,
        "key_id": record.key_id or None,
        "stream": record.stream,
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
        "cached_tokens": record.cached_tokens,
        "sample_rate": rate,
    }
    if record.first_byte:
        line["first_byte_ms"] = round((record.first_byte - record.started) * 1000, 3)
    if record.gaps is not None:
        line["longest_gap_ms"] = round(record.gaps.longest * 1000, 3)
    if record.idempotency:
        line["idempotency"] = record.idempotency
    if record.placed is not None:
        line["placed"] = record.placed.why
    if record.masked:
        line["masked_values"] = sum(sum(kinds.values()) for kinds in record.masked.values())
    if record.code:
        line |= {"code": record.code, "reason": record.reason}
    return line


def request_text(record: RequestRecord, rate: float) -> bytes | None:
    """The same as it is written, for an answer of which nothing is told that has to be masked; None for any other. It
    is one form and a few figures, where the dictionary costs ten times as much to make, mask and write."""
    if record.code or record.masked or record.idempotency or not 200 <= record.status < 400:
        return None
    started, first, gaps = record.started, record.first_byte, record.gaps
    more = b',"first_byte_ms":%.3f' % ((first - started) * 1000) if first else b""
    if gaps is not None:
        more += b',"longest_gap_ms":%.3f' % (gaps.longest * 1000)
    if record.placed is not None:
        more += b',"placed":"%b"' % record.placed.why.encode()
    return _LINE % (
        timestamp(time.time()).encode(),
        record.request_id.encode(),  # both are ids by their form (trace.py): no character of theirs is escaped
        record.trace_id.encode(),
        _asked(record.method, record.path),
        record.status,
        (record.ended - started) * 1000,
        _made_by(
            record.upstream,
            record.fallback_model,
            record.client,
            record.route,
            record.release,
            record.revision,
            record.key_id,
        ),
        b"true" if record.stream else b"false",
        record.prompt_tokens,
        record.completion_tokens,
        record.cached_tokens,
        _ALWAYS if rate == 1.0 else b"%r" % rate,
        more,
    )


@lru_cache(256)
def _asked(method: str, path: str) -> bytes:
    return _fields({"method": method, "path": path})


@lru_cache(4096)  # the same callers ask the same models again and again
def _made_by(upstream: str, fallback: str, client: str, route: str, release: str, revision: str, key_id: str) -> bytes:
    return _fields(
        {
            "upstream": upstream or None,
            "fallback_model": fallback or None,
            "client_ip": mask(client),
            "route": route or None,
            "release": release or None,
            "revision": revision or None,
            "key_id": key_id or None,
        }
    )


def _fields(fields: dict[str, Any]) -> bytes:
    """Of an object, without its braces. ASCII, as all lines are."""
    return text_of(fields).encode("ascii")[1:-1]
