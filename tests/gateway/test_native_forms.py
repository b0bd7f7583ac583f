"""Texts whose places C fills are what Python writes, whatever names stand in them."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_gateway.admission import headers_of
from nexus_gateway.auth import Credentials
from nexus_gateway.breaker import BreakerSettings
from nexus_gateway.gateway import Gateway
from nexus_gateway.key_ring import KeyRing
from nexus_gateway.keys import Key
from nexus_gateway.limits.windows import verdict_of
from nexus_gateway.relay import origin
from nexus_gateway.served import Served
from nexus_gateway.snapshot import build
from nexus_gateway.straight.forms import answer_form, ask_form, audit_form, log_form
from nexus_gateway.straight.way import Way, way_of
from nexus_gateway.surfaces import SURFACES
from nexus_gateway.telemetry.audit import AuditLog
from nexus_gateway.telemetry.chain import Tip, bound, bound_text
from nexus_gateway.telemetry.logs import LogWriter
from nexus_gateway.telemetry.record import RequestRecord
from nexus_gateway.telemetry.request_line import request_text
from nexus_gateway.trace import Trace
from nexus_gateway.upstream_call import JSON, lines_for
from nexus_gateway.upstreams.protocol import Call, written

nexus_native: Any = pytest.importorskip("nexus_native", reason="nexus-native is not built here")

ODD = ["987654301", "f0a1" * 8, "request_id", "time:1", "0" * 64, "1970-01-01T00:00:00.000Z", "kim.yuna@example.org"]
"""Among what routes and upstreams may be called."""
_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}", fullmatch=True) | st.sampled_from(ODD)
_key_ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True) | st.sampled_from(
    ["f0a1" * 8, "seq", "987654302"]
)
_digits = st.text("0123456789abcdef", min_size=96, max_size=96)
_count = st.integers(0, (1 << 31) - 1)
_limit = st.none() | st.integers(1, 1_000_000_000)


def ways(folder: Path, route: str, upstream: str, release: str, key: Key, limits: dict[str, Any]) -> tuple[Any, Way]:
    file = {
        "upstreams": {upstream: {"url": "http://engine.test/under%20it", "release": release}},
        "routes": {route: {"strategy": "direct", "upstream": upstream}},
        "policies": {key.owner: limits},
    }
    snapshot = build({"chat.yaml": json.dumps(file).encode()}, {}, 10.0, {})
    audit = AuditLog(folder, b"salt" * 8, "forms")
    gateway = Gateway(Served(snapshot), Credentials(KeyRing({b"": key})), BreakerSettings(), LogWriter(), audit)
    way = way_of(gateway, snapshot, key, route, SURFACES["/v1/chat/completions"])
    assert way is not None
    return audit, way


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_all_texts_are_those_that_python_writes(data: st.DataObject) -> None:
    route, upstream = data.draw(_names), data.draw(_names)
    release = data.draw(st.text("0123456789abcdef", min_size=64, max_size=64))
    key = Key(data.draw(_key_ids), None, admin=False)
    limits = {"requests_per_minute": data.draw(_limit), "tokens_per_minute": data.draw(_limit)}
    given_limits = {name: limit for name, limit in limits.items() if limit is not None}

    async def compared(folder: Path) -> None:
        audit, way = ways(folder, route, upstream, release, key, given_limits)
        digits, length, prompt, completion, cached = data.draw(_digits), *(data.draw(_count) for _ in range(4))
        ids = Trace(digits[:32], digits[32:64], digits[64:80], "01")
        milliseconds, client = (
            data.draw(st.integers(0, 10**9)) / 1000,
            data.draw(st.sampled_from(["", "192.0.2.7", "x", "2001:db8::1"])),
        )
        numbers = tuple(data.draw(_count) for _ in range(3 * len(given_limits)))

        def filled(form: Any, at: bytes = b"2026-01-02T03:04:05.678Z") -> bytes:
            text: bytes = form.filled(
                digits.encode(), length, numbers, at, milliseconds, milliseconds, 0.0, prompt, completion, cached
            )
            return text

        lines = JSON + lines_for(ids, way.candidate.upstream, digits[80:])
        said = way.pool.written(Call(way.surface.path, lines, b"x" * 7))
        assert filled(ask_form(way)) == said[:-7].replace(b"content-length: 7\r\n", b"content-length: %d\r\n" % length)

        record = RequestRecord("POST", way.surface.path, client, 0.0, ids.request_id, ids.trace_id, ids.span_id)
        record.status, record.key_id, record.tenant = 200, key.id, way.caller.tenant
        record.route = record.model = route
        record.upstream, record.release, record.revision = upstream, release, way.revision
        record.prompt_tokens, record.completion_tokens, record.cached_tokens = prompt, completion, cached
        record.first_byte = record.ended = milliseconds / 1000
        if numbers:
            record.limit_headers = headers_of(verdict_of(numbers, way.caller.limits))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % length), *origin(ids, record)]
        assert filled(answer_form(way)) == written(headers) + b"\r\n"

        line = json.loads(request_text(record, 1.0) or b"")
        ours = json.loads(filled(log_form(way, client, stream=False)))
        for measured in ("duration_ms", "first_byte_ms"):
            assert ours.pop(measured) == pytest.approx(milliseconds, abs=0.0011)
            line.pop(measured, None)
        assert (list(ours), {**ours, "timestamp": ""}) == (list(line), {**line, "timestamp": ""})

        tip, at = Tip(data.draw(_count), "a" * 64), 1_700_000_000.25
        form = filled(audit_form(audit, way), b"2023-11-14T22:13:20.250Z")
        assert bound_text(tip, form) == bound(tip, audit.decision(at, route, record))

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compared(Path(folder)))


@pytest.mark.parametrize("name", ODD)
def test_a_name_that_looks_like_a_place_is_none(name: str, tmp_path: Path) -> None:
    async def log() -> Any:
        _, way = ways(tmp_path, name, name, "a" * 64, Key("key", None, admin=False), {})
        return json.loads(log_form(way, "", stream=False).filled(b"1" * 96, 2, (), b"3" * 24, 4.0, 4.0, 0.0, 5, 6, 7))

    line = asyncio.run(log())
    assert (line["route"], line["upstream"], line["request_id"]) == (name, name, "1" * 32)
    assert (line["prompt_tokens"], line["completion_tokens"], line["cached_tokens"]) == (5, 6, 7)


@pytest.mark.parametrize(
    ("pieces", "fields", "told"),
    [
        ((b"a", b"b"), (), "fields: 0 between 2 pieces"),
        ((b"",) * 18, (0,) * 17, "fields: 17 between 18 pieces"),
        ((b"", b""), (13,), "fields: 13"),
        (("a", b""), (0,), "pieces: bytes alone"),
        ((b"", None), (0,), "pieces: bytes alone"),
        ((b"",) * 8, (5,) * 7, "at most 6 numbers"),
    ],
)
def test_a_form_that_cannot_be_filled_is_refused(pieces: Any, fields: tuple[int, ...], told: str) -> None:
    with pytest.raises((ValueError, TypeError), match=told):
        nexus_native.Form(pieces, fields)
