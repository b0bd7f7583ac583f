"""A gateway driven by the bytes of both its sockets, once by the straight way and once by the story alone."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from nexus_gateway.auth import Credentials
from nexus_gateway.breaker import BreakerSettings
from nexus_gateway.gateway import Gateway
from nexus_gateway.key_ring import KeyRing
from nexus_gateway.keys import Key, digest
from nexus_gateway.limits.limiter import Limiter
from nexus_gateway.limits.memory import MemoryLimiter
from nexus_gateway.served import Served
from nexus_gateway.snapshot import Snapshot, build
from nexus_gateway.straight.exchange import StraightExchange
from nexus_gateway.telemetry.audit import AuditLog
from nexus_gateway.telemetry.chain import MARK
from nexus_gateway.telemetry.logs import LogWriter
from nexus_gateway.upstreams.connection import Connection
from nexus_gateway.upstreams.http import HttpUpstream

from .edges import Connection as Client
from .edges import Server, Transport, settled

_ID = re.compile(rb"\b(?:[0-9a-f]{32}|[0-9a-f]{16})\b")
_TIME = re.compile(rb'"(timestamp|time|hash|previous)":"[^"]*"|"\w+_ms":[0-9.]+')
USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17, "prompt_tokens_details": {"cached_tokens": 4}}
DOCUMENT = {"id": "c", "choices": [{"index": 0, "message": {"content": "Hé"}, "finish_reason": "stop"}], "usage": USAGE}
EVENTS = (
    b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
)
IDS = b"x-request-id: mine\r\ntraceparent: 00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-00\r\n"
LOST = object()
"""In place of a piece of the answer: the engine closes the connection."""
LEAVES = object()
"""The client does."""


def whole(document: Any, status: str = "200 OK", more: bytes = b"") -> bytes:
    said = document if isinstance(document, bytes) else json.dumps(document, ensure_ascii=False).encode()
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n"
    return head % (status.encode(), more, len(said)) + said


def framed(data: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)


OK = whole(DOCUMENT)
ANSWERS: Mapping[str, tuple[Any, ...]] = {
    "whole": (OK,),
    "in-two": (OK[:200], OK[200:]),
    "head-first": (OK[: OK.index(b"\r\n\r\n") + 4], OK[OK.index(b"\r\n\r\n") + 4 :]),
    "byte-by-byte": tuple(OK[place : place + 1] for place in range(len(OK))),
    "in-frames": (framed(json.dumps(DOCUMENT).encode()),),
    "without-usage": (whole({"choices": []}),),
    "odd-usage": (whole({"usage": {"prompt_tokens": -1, "completion_tokens": 2}}),),
    "other-usage": (whole({"usage": {"input_tokens": 3, "output_tokens": 4}}),),
    "no-json": (whole(b"{no json"),),
    "no-object": (whole(b"[]"),),
    "no-text": (whole(b'{"usage":{"prompt_tokens":1},"x":"\xff"}'),),
    "packed": (whole(DOCUMENT, more=b"content-encoding: gzip\r\n"),),
    "closes-after": (whole(DOCUMENT, more=b"connection: close\r\n"),),
    "goes-on": (OK + b"x",),
    "400": (whole({"error": {"message": "no"}}, "400 Bad Request"),),
    "401": (whole({"error": {}}, "401 Unauthorized"),),
    "404": (whole({"detail": "Not Found"}, "404 Not Found"),),
    "429": (whole({}, "429 Too Many Requests", b"retry-after: 7\r\n"),),
    "500": (whole({}, "500 Internal Server Error"),),
    "503": (whole({}, "503 Service Unavailable", b"retry-after: 3\r\n"),),
    "garbage": (b"no HTTP\r\n\r\n",),
    "lost-in-head": (OK[:20], LOST),
    "lost-in-body": (OK[:-3], LOST),
    "lost-at-once": (LOST,),
    "client-leaves": (LEAVES,),
    "client-leaves-later": (OK[:90], LEAVES),
}


def gateway(
    folder: Path, limiter: Limiter | None = None, engine: str = "127.0.0.1:1", more: Mapping[str, Any] | None = None
) -> Gateway:
    """`engine`: where it listens. `more`: what is in the route file besides."""
    named = keys()
    served = Served(table(engine, more))
    audit = AuditLog(folder, b"salt" * 8, "test")
    logs = LogWriter(StringIO())
    return Gateway(served, Credentials(KeyRing(named)), BreakerSettings(max_failures=2), logs, audit, limiter)


def keys() -> dict[bytes, Key]:
    names = ("key", "bounded", "free", "saver", "single")
    return {digest(name.encode()): Key(name, None, admin=False) for name in names}


def table(engine: str, more: Mapping[str, Any] | None = None) -> Snapshot:
    file: dict[str, dict[str, Any]] = {
        "upstreams": {
            "engine": {"url": "http://engine.test", "release": "e" * 64},
            "renamed": {"url": "http://engine.test/under", "model": "their-own", "prefix_cache": "tenant"},
        },
        "routes": {
            "chat": {"strategy": "direct", "upstream": "engine"},
            "other": {"strategy": "direct", "upstream": "renamed", "timeouts": {"total_seconds": 50}},
            "m-900001-0": {"strategy": "direct", "upstream": "engine"},
            "patient": {"strategy": "direct", "upstream": "engine", "timeouts": {"total_seconds": 90}},
        },
        "policies": {
            "key": {"requests_per_minute": 1000, "tokens_per_minute": 100_000, "max_parallel": 9},
            "bounded": {"max_tokens": 7, "tokens_per_minute": 100_000},
            "saver": {"tokens_per_minute": 100_000, "cached_tokens_percent": 71},
            "single": {"max_parallel": 1},
        },
    }  # fmt: skip
    for section, named in (more or {}).items():
        file[section] |= named
    return build({"chat.yaml": json.dumps(file).encode()}, {"engine.test:80": engine}, 10.0, {})


def posted(
    key: str = "key", model: str = "chat", *, more: bytes = b"", path: str = "chat/completions", **body: Any
) -> bytes:
    said = json.dumps({"model": model, "messages": [], **body}).encode()
    head = b"POST /v1/%b HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\ncontent-type: application/json\r\n%b"
    return head % (path.encode(), key.encode(), more) + b"content-length: %d\r\n\r\n%b" % (len(said), said)


@dataclass
class Told:
    """All that anybody is told of it."""

    client: bytes
    engine: list[bytes]
    closed: bool
    log: bytes
    audit: list[Any]
    metrics: bytes
    tokens: tuple[float, ...]
    parallel: object
    in_flight: int


async def no_pages(scope: object, receive: object, send: object) -> None:
    raise AssertionError("FastAPI was asked")


class Drive:
    """A gateway, one client, and an engine whose idle connection it finds."""

    def __init__(self, folder: Path, *, straight: bool) -> None:
        folder.mkdir(exist_ok=True)
        self.straight, self.ways = straight, 0
        self.limiter = MemoryLimiter(clock=lambda: 1000.0)
        self.gateway = gateway(folder, self.limiter)
        self.client: Client = Server("wire", self.gateway, app=no_pages).connect()
        self.engine, self.sent = Transport(), list[bytes]()

    def idle(self, model: str) -> None:
        """A connection that has carried a call before waits for the next."""
        snapshot = self.gateway.served.current
        name = snapshot.table.routes[model].targets[0].upstream
        pool = self.gateway.upstream(snapshot, snapshot.table.upstreams[name].endpoints[0])
        assert isinstance(pool, HttpUpstream)
        connection = Connection(pool._put, pool._drop)
        self.engine = Transport()
        self.engine.protocol = connection
        connection.connection_made(self.engine)
        connection.used = True
        pool._put(connection)

    async def ask(self, request: bytes, *answer: Any, model: str = "chat") -> None:
        self.idle(model)
        shut = pytest.MonkeyPatch()
        if not self.straight:
            shut.setattr("nexus_gateway.wire.set_out", lambda *_: None)
        await self.client.say(request)
        shut.undo()
        self.ways += isinstance(self.client.protocol._current, StraightExchange)  # type: ignore[attr-defined]
        self.sent.append(self.engine.sent)
        connection = self.engine.protocol
        assert isinstance(connection, Connection)
        for piece in answer:
            if piece is LEAVES:
                await self.client.leave()
            elif piece is LOST:
                self.engine.close()
            elif not self.engine.closing:
                connection.data_received(piece)
            await settled()
            await self.reconnected()

    async def reconnected(self) -> None:
        """A lost connection is replaced once; nobody listens there."""
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait([task], timeout=10)
        await settled()

    async def told(self) -> Told:
        sent = self.client.transport
        return await told_by(self.gateway, self.limiter, sent.sent, self.sent, sent.closing)


async def told_by(gateway: Gateway, limiter: MemoryLimiter, client: bytes, engine: list[bytes], closed: bool) -> Told:
    audit, logs, metrics = gateway.audit, gateway.logs, gateway.metrics
    assert audit is not None
    log = "".join(logs._written(item) for item in logs._waiting).encode()
    lines = [audit.line(item) for item in audit._waiting]
    figures = [
        line
        for line in (await metrics.render()).decode().splitlines()
        if not line.startswith("#") and "_created" not in line and "lag" not in line and "loaded" not in line
        and not line.split("{")[0].endswith(("_sum", "_bucket"))
    ]  # fmt: skip
    buckets = tuple(
        value
        for bucket in limiter.buckets.values()
        for value in (bucket.requests, bucket.tokens, bucket.requests_before, bucket.tokens_before)
    )
    return Told(
        same(client), [same(sent) for sent in engine], closed, same(log), list(map(decided, lines)),
        "\n".join(sorted(figures)).encode(), buckets, gateway.parallel.under_way, metrics.in_flight,
    )  # fmt: skip


def decided(line: dict[str, Any] | bytes) -> dict[str, Any]:
    """What an audit line says but for its time, its ids, and its place in the chain, which one of C has none of yet."""
    if isinstance(line, bytes):
        line = json.loads(line.replace(MARK, b"0"))
        assert (line.pop("previous"), line.pop("seq")) == ("0", 0)
    return {**line, "time": "", "request_id": "", "trace_id": ""}


def same(text: bytes) -> bytes:
    return _TIME.sub(b"T", _ID.sub(b"ID", text))


async def both(folder: Path, request: bytes, *answer: Any, model: str = "chat") -> tuple[Told, Told, int]:
    """Twice on one connection, so that what the first leaves behind is asked too."""
    found, ways = [], 0
    for name, straight in (("straight", True), ("story", False)):
        drive = Drive(folder / name, straight=straight)
        for _ in range(2):
            if not drive.client.transport.closing:
                await drive.ask(request, *answer, model=model)
        found.append(await drive.told())
        ways += drive.ways
    return found[0], found[1], ways
