"""The straight way and the story say the same: to the client, to the engine, and in logs, metrics, limits and audit.

Both are driven here by the bytes of their sockets. The story is what a request takes where the straight way is shut.
"""

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
from hypothesis import given
from hypothesis import strategies as st

from nexus_gateway.auth import Credentials
from nexus_gateway.breaker import BreakerSettings
from nexus_gateway.gateway import Gateway
from nexus_gateway.key_ring import KeyRing
from nexus_gateway.keys import Key, digest
from nexus_gateway.limits.limiter import Limiter
from nexus_gateway.limits.memory import MemoryLimiter
from nexus_gateway.served import Served
from nexus_gateway.snapshot import build
from nexus_gateway.straight import setting_out
from nexus_gateway.straight.exchange import StraightExchange
from nexus_gateway.straight.usage import usage_in
from nexus_gateway.stream import usage_of
from nexus_gateway.telemetry.audit import AuditLog
from nexus_gateway.telemetry.logs import LogWriter
from nexus_gateway.upstreams.connection import Connection
from nexus_gateway.upstreams.http import HttpUpstream

from ..support.edges import Connection as Client
from ..support.edges import Server, Transport, settled

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


def gateway(folder: Path, limiter: Limiter | None = None) -> Gateway:
    file = {
        "upstreams": {
            "engine": {"url": "http://engine.test", "release": "e" * 64},
            "renamed": {"url": "http://engine.test/under", "model": "their-own", "prefix_cache": "tenant"},
        },
        "routes": {
            "chat": {"strategy": "direct", "upstream": "engine"},
            "other": {"strategy": "direct", "upstream": "renamed", "timeouts": {"total_seconds": 50}},
            "m-900001-0": {"strategy": "direct", "upstream": "engine"},
        },
        "policies": {
            "key": {"requests_per_minute": 1000, "tokens_per_minute": 100_000, "max_parallel": 9},
            "bounded": {"max_tokens": 7, "tokens_per_minute": 100_000},
        },
    }  # fmt: skip
    names = ("key", "bounded", "free")
    known = {digest(name.encode()): Key(name, None, admin=False) for name in names}
    served = Served(build({"chat.yaml": json.dumps(file).encode()}, {"engine.test:80": "127.0.0.1:1"}, 10.0, {}))
    audit = AuditLog(folder, b"salt" * 8, "test")
    logs = LogWriter(StringIO())
    return Gateway(served, Credentials(KeyRing(known)), BreakerSettings(max_failures=2), logs, audit, limiter)


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


async def _no_pages(scope: object, receive: object, send: object) -> None:
    raise AssertionError("FastAPI was asked")


class Drive:
    """A gateway, one client, and an engine whose idle connection it finds."""

    def __init__(self, folder: Path, *, straight: bool) -> None:
        folder.mkdir(exist_ok=True)
        self.straight, self.ways = straight, 0
        self.limiter = MemoryLimiter(clock=lambda: 1000.0)
        self.gateway = gateway(folder, self.limiter)
        self.client: Client = Server("wire", self.gateway, app=_no_pages).connect()
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
        audit, logs, metrics = self.gateway.audit, self.gateway.logs, self.gateway.metrics
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
            for bucket in self.limiter._buckets.values()
            for value in (bucket.requests, bucket.tokens, bucket.requests_before, bucket.tokens_before)
        )
        return Told(
            _same(self.client.transport.sent), [_same(sent) for sent in self.sent], self.client.transport.closing,
            _same(log), [{**line, "time": "", "request_id": "", "trace_id": ""} for line in lines],
            "\n".join(figures).encode(), buckets, self.gateway.parallel._under_way, metrics.in_flight,
        )  # fmt: skip


def _same(text: bytes) -> bytes:
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


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("more", [b"", b"connection: close\r\n", IDS], ids=["plain", "close", "ids"])
def test_whatever_an_engine_answers_both_ways_say_the_same(kind: str, more: bytes, tmp_path: Path) -> None:
    straight, story, ways = asyncio.run(both(tmp_path, posted(more=more), *ANSWERS[kind]))
    assert straight == story
    assert ways >= 1, "it was not asked straight"
    assert (straight.in_flight, straight.parallel) == (0, {})
    assert straight.log.count(b'"request"') == len(straight.audit) >= 1


@pytest.mark.parametrize("cut", [150, 1000], ids=["in-two", "at-once"])
@pytest.mark.parametrize("answer", [framed(EVENTS), framed(EVENTS)[:-200], OK], ids=["sound", "cut", "whole"])
def test_a_stream_is_begun_straight_and_told_by_the_story(answer: bytes, cut: int, tmp_path: Path) -> None:
    straight, story, ways = asyncio.run(both(tmp_path, posted(stream=True), answer[:cut], answer[cut:], LOST))
    assert straight == story
    assert ways >= 1


def test_who_asks_for_a_stream_where_there_is_none_is_answered_in_one_piece(tmp_path: Path) -> None:
    straight, story, ways = asyncio.run(both(tmp_path, posted(path="embeddings", input="x", stream=True), OK))
    assert straight == story
    assert ways == 2


@pytest.mark.parametrize(
    ("request_", "model"),
    [
        (posted("bounded"), "chat"),
        (posted("bounded", max_tokens=3), "chat"),
        (posted("free"), "chat"),
        (posted(model="other"), "other"),
        (posted(model="m-900001-0"), "m-900001-0"),
        (posted(model="other", cache_salt="mine"), "other"),
        (posted(cache_salt="mine"), "chat"),
        (posted(n=3, max_tokens=20), "chat"),
        (posted(path="embeddings", input="x"), "chat"),
        (posted(path="completions", prompt=["a", "b"]), "chat"),
        (posted(user="Zoë Ω"), "chat"),
    ],
)
def test_what_a_policy_or_an_engine_wants_changed_is_changed_alike(request_: bytes, model: str, tmp_path: Path) -> None:
    straight, story, ways = asyncio.run(both(tmp_path, request_, OK, model=model))
    assert straight == story
    assert straight.client.startswith(b"HTTP/1.1 200")
    assert ways == 2


@pytest.mark.parametrize(
    "request_",
    [
        posted("nobody"),
        posted(model="missing"),
        posted("bounded", max_tokens=8),
        posted(max_tokens=1_000_000),
        posted(more=b"idempotency-key: k\r\n"),
        posted(more=b"x-api-key: key\r\n"),
        posted(more=b"content-encoding: gzip\r\n"),
        posted(path="responses", input="x"),
        posted(Model="twice"),
    ],
)
def test_what_has_to_be_decided_is_the_story_s_from_its_beginning(request_: bytes, tmp_path: Path) -> None:
    straight, story, ways = asyncio.run(both(tmp_path, request_, OK))
    assert straight == story
    assert ways == 0


def test_limits_hold_and_what_is_refused_straight_is_told_by_the_story(tmp_path: Path) -> None:
    async def asked(straight: bool) -> Told:
        drive = Drive(tmp_path / str(straight), straight=straight)
        for _ in range(4):  # 12 prompt tokens each by the estimate, and more by the engine's account
            await drive.ask(posted(max_tokens=30_000), OK)
        drive.limiter.reserve(
            "key", drive.gateway.served.current.standing.caller(Key("key", None, False)).limits, 99_000
        )
        await drive.ask(posted(max_tokens=30_000), OK)
        return await drive.told()

    straight, story = asyncio.run(asked(True)), asyncio.run(asked(False))
    assert straight == story
    assert straight.client.count(b"HTTP/1.1 200") == 4
    assert straight.client.count(b"HTTP/1.1 429") == 1


def test_a_circuit_opens_by_failures_on_the_straight_way_and_shuts_it(tmp_path: Path) -> None:
    async def asked(straight: bool) -> tuple[Told, int]:
        drive = Drive(tmp_path / str(straight), straight=straight)
        for _ in range(3):
            await drive.ask(posted(), *ANSWERS["500"])
        return await drive.told(), drive.ways

    (straight, ways), (story, _) = asyncio.run(asked(True)), asyncio.run(asked(False))
    assert straight == story
    assert ways == 1, "after a failure each answer changes something"
    assert straight.client.count(b"HTTP/1.1 50") == 3
    assert straight.engine[2] == b"", "an open circuit lets nothing through"


def test_failures_with_good_answers_between_them_open_no_circuit_though_all_were_asked_before(tmp_path: Path) -> None:
    async def asked(straight: bool) -> tuple[Told, int]:
        drive = Drive(tmp_path / str(straight), straight=straight)
        server, engines = Server("wire", drive.gateway, app=_no_pages), list[Transport]()
        for _ in range(4):
            drive.client = server.connect()
            await drive.ask(posted())
            engines.append(drive.engine)
        for engine, answer in zip(engines, (*ANSWERS["500"], OK, *ANSWERS["500"], OK), strict=True):
            assert isinstance(engine.protocol, Connection)
            engine.protocol.data_received(answer)
            await settled()
        assert drive.gateway.breakers.untroubled("engine"), "it has answered well last"
        return await drive.told(), drive.ways

    (straight, ways), (story, _) = asyncio.run(asked(True)), asyncio.run(asked(False))
    assert straight == story
    assert ways == 4


@pytest.mark.parametrize("behind", ["end-of-file", "gateway-stops", "no-http"])
def test_what_was_written_in_a_turn_goes_out_before_what_else_happens_in_it(behind: str, tmp_path: Path) -> None:
    async def asked(straight: bool) -> bytes:
        drive = Drive(tmp_path / str(straight), straight=straight)
        await drive.ask(posted())
        assert isinstance(drive.engine.protocol, Connection)
        drive.engine.protocol.data_received(OK)
        if behind == "end-of-file":
            assert not drive.client.protocol.eof_received()
            await drive.client.leave()  # as the loop does after that word
        elif behind == "gateway-stops":
            drive.client.protocol.shutdown()
        else:
            drive.client.protocol.data_received(b"no HTTP\r\n\r\n")
        await settled()
        assert drive.client.transport.closing
        return _same(drive.client.transport.sent)

    straight, story = asyncio.run(asked(True)), asyncio.run(asked(False))
    assert straight == story
    assert straight.startswith(b"HTTP/1.1 200")
    assert straight.count(b"HTTP/1.1 400") == (behind == "no-http")


def test_an_engine_that_says_nothing_is_given_up_by_the_same_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asked(straight: bool) -> Told:
        drive = Drive(tmp_path / str(straight), straight=straight)
        await drive.ask(posted())
        connection = drive.engine.protocol
        assert isinstance(connection, Connection)
        assert connection._until is not None
        connection._until = 0.0
        connection._rang()
        await settled()
        return await drive.told()

    straight, story = asyncio.run(asked(True)), asyncio.run(asked(False))
    assert straight == story
    assert straight.client.startswith(b"HTTP/1.1 504")


def test_a_request_behind_another_waits_and_goes_straight_too(tmp_path: Path) -> None:
    async def asked(straight: bool) -> bytes:
        drive = Drive(tmp_path / str(straight), straight=straight)
        await drive.ask(posted() + posted(max_tokens=3), OK)
        await drive.ask(b"", OK)
        return _same(drive.client.transport.sent)

    assert asyncio.run(asked(True)) == asyncio.run(asked(False))
    assert asyncio.run(asked(True)).count(b"HTTP/1.1 200") >= 1


def test_a_client_that_takes_nothing_is_cut_when_its_time_is_over(tmp_path: Path) -> None:
    async def asked(straight: bool) -> bool:
        drive = Drive(tmp_path / str(straight), straight=straight)
        drive.client.transport.room = 10
        await drive.ask(posted(), OK)
        for clock in [clock for clock in drive.client.clocks.every if not clock.stopped and clock.seconds > 75]:
            clock.ring()
        return drive.client.transport.cut

    assert asyncio.run(asked(True))
    assert asyncio.run(asked(False))


def test_a_draining_gateway_and_one_that_keeps_decisions_take_the_story(tmp_path: Path) -> None:
    async def ways(**state: Any) -> int:
        drive = Drive(tmp_path / "-".join(state), straight=True)
        for name, value in state.items():
            setattr(drive.gateway, name, value)
        await drive.ask(posted(), OK)
        return drive.ways

    assert asyncio.run(ways(leaving=True)) == 1
    assert asyncio.run(ways(draining=True)) == 0
    assert asyncio.run(ways(most_in_flight=0)) == 0


def test_ways_are_forgotten_when_there_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setting_out, "MOST_CALLERS", 1)

    async def asked() -> int:
        drive = Drive(tmp_path / "one", straight=True)
        for key in ("key", "free", "bounded"):
            await drive.ask(posted(key), OK)
        assert drive.ways == 3
        return len(drive.gateway.served.current.standing.ways)

    assert asyncio.run(asked()) == 1


_floats = st.floats(allow_nan=False, allow_infinity=False)
_counts = st.none() | st.booleans() | st.integers(-2, 1 << 32) | _floats | st.text(max_size=2)
_names = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "cache_read_input_tokens")
_details = st.none() | st.dictionaries(st.just("cached_tokens"), _counts) | st.just([])
_more = dict.fromkeys(("prompt_tokens_details", "input_tokens_details"), _details)
_usages = st.fixed_dictionaries({}, optional={**dict.fromkeys(_names, _counts), **_more})
_inner = st.fixed_dictionaries({"usage": _usages})
_documents = st.fixed_dictionaries({}, optional={"usage": _usages | _counts, "response": _counts, "message": _inner})


@given(_documents)
def test_usage_is_found_as_the_story_finds_it_or_not_at_all(document: dict[str, Any]) -> None:
    found = usage_in(json.dumps(document).encode())
    assert found is None or found == usage_of(document)


def test_usage_of_the_usual_form_is_found() -> None:
    assert usage_in(json.dumps(DOCUMENT).encode()) == usage_of(DOCUMENT) == (12, 5, 4)
