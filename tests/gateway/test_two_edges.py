"""All edges answer every kind of request alike, ask engines alike, and tell it alike in logs, metrics and audit.

What comes in odd pieces or with odd heads is compared in `test_wire.py`, without sockets.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nexus_gateway import native
from nexus_gateway.keys import digest
from nexus_gateway.settings import EDGES, Edge

from ..support.edges import OURS
from ..support.gateway import OTHER, RELEASE, Gateway, write_routes
from ..support.heard import Heard, heard
from ..support.spoken import ASKED, STREAMS
from ..support.upstream import Engine, Seen

KEYS = ("dev-key", "once-key", "few-key", "narrow-key", "bounded-key")
BROKEN = (
    "400",
    "401",
    "404",
    "429",
    "500",
    "501",
    "redirect",
    "garbage",
    "no-json",
    "close",
    "no-such-path",
)
CUT = ("reset", "short", "error-event", "late-error-event", "split")
TEXT = "Write to kim.yuna@example.org, and to kim.yuna@example.org again"


def routes() -> dict[str, Any]:
    """Of an engine whose address `--resolve` tells, so that both gateways have the same revision."""
    url = "http://engine.test"
    names = (*BROKEN, *CUT, "ok", "other", "cached", "stall", "stall-midway", "parrot-1", "parrot-7", "spoken")
    upstreams: dict[str, Any] = {name: {"url": f"{url}/{name}", "release": RELEASE} for name in names}
    upstreams |= {
        "canary": {"url": f"{url}/release-b", "release": OTHER},
        "chat-only": {"url": f"{url}/parrot-7", "apis": ["chat"]},
        "nobody": {"url": "http://nobody.test"},
        "renamed": {"url": f"{url}/other", "model": "their-own-name"},
        "mock": {"url": "mock://local"},
        "failing": {"url": "mock://fail"},
    }

    def route(upstream: str, **more: Any) -> dict[str, Any]:
        return {"strategy": "direct", "upstream": upstream, **more}

    table: dict[str, Any] = {name: route(name) for name in upstreams}
    table |= {
        "stall": route("stall", timeouts={"first_byte_seconds": 0.3}),
        "stall-midway": route("stall-midway", timeouts={"chunk_seconds": 0.3}),
        "patient": route("stall-midway"),
        "masked": route("parrot-7", masking={}),
        "hidden": route("parrot-1", masking={"answers": True, "restore": False}),
        "fallen-back": route("500", fallbacks=["garbage", "ok"]),
        "all-fail": route("500", fallbacks=["nobody", "429"]),
        "split-up": {"strategy": "canary", "primary": "ok", "canary": "canary", "percent": 50, "rollout": "ab"},
        "by-header": route("ok", match=[{"header": "x-lane", "value": "b", "upstream": "canary"}]),
    }
    policies = {
        "once-key": {"requests_per_minute": 1},
        "few-key": {"tokens_per_minute": 10},
        "narrow-key": {"models": ["ok"]},
        "bounded-key": {"max_tokens": 7},
    }
    return {"upstreams": upstreams, "routes": table, "policies": policies}


@dataclass(frozen=True)
class Case:
    name: str
    data: bytes
    answers: int = 1
    leaves_after: bytes = b""
    """What the client waits for before it leaves; empty where it waits for the end."""


def posted(name: str, body: Any, path: str = "/v1/chat/completions", key: str = "dev-key", **more: str) -> bytes:
    """`more`: headers, with `_` for `-`; one that is empty is left out."""
    document = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {
        "host": "gateway", "authorization": f"Bearer {key}", "content_type": "application/json", "x_request_id": name,
        "content_length": str(len(document)), **more,
    }  # fmt: skip
    lines = [f"{header.replace('_', '-')}: {value}" for header, value in headers.items() if value]
    return "\r\n".join((f"POST {path} HTTP/1.1", *lines, "", "")).encode() + document


def chat(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": TEXT}], **more}


def corpus() -> Iterator[Case]:
    def one(name: str, *given: Any, **more: Any) -> Case:
        return Case(name, posted(name, *given, **more))

    for stream in (False, True):
        kind = "stream" if stream else "whole"
        for model in ("ok", "cached", "mock", "renamed", "masked", "hidden", "fallen-back", "all-fail", "nobody",
                      "failing", "stall", "stall-midway", *BROKEN, *CUT):  # fmt: skip
            if stream or model != "stall-midway":
                yield one(f"{model}-{kind}", chat(model, stream=stream))
        for session in map(str, range(4)):
            yield one(f"session-{session}-{kind}", chat("split-up", stream=stream), x_nexus_session=session)
        yield one(f"header-{kind}", chat("by-header", stream=stream), x_lane="b")
        for path, asked in ASKED.items():
            if not stream or path in STREAMS:
                yield one(f"{path[4:].replace('/', '-')}-{kind}", {**asked, "model": "spoken", "stream": stream}, path)
        translated = {**chat("chat-only"), "max_tokens": 9, "stream": stream}
        yield one(f"translated-{kind}", translated, "/v1/messages", anthropic_version="2023-06-01")
        yield one(f"unspoken-{kind}", {"model": "chat-only", "prompt": "x", "stream": stream}, "/v1/completions")
    yield one("unknown-model", chat("no-such-model"))
    yield one("model-not-allowed", chat("other"), key="narrow-key")
    yield one("limited-1", chat("ok"), key="once-key")
    yield one("limited-2", chat("ok"), key="once-key")
    yield one("too-many-tokens", chat("ok", max_tokens=1000), key="few-key")
    yield one("bounded", chat("ok"), key="bounded-key")
    yield one("longer-than-bounded", chat("ok", max_tokens=8), key="bounded-key")
    yield one("bad-key", chat("ok"), key="no-key")
    yield one("no-key", chat("ok"), authorization="")
    yield one("two-keys", chat("ok"), x_api_key="once-key")
    yield one("api-key", chat("ok"), authorization="", x_api_key="dev-key")
    yield one("no-json", b"{")
    yield one("no-body", b"")
    yield one("twice", b'{"model": "ok", "model": "500"}')
    yield one("large", chat("ok", padding="x" * 1_000_000))
    yield Case("too-large", posted("too-large", b"", content_length="4200000"), 2)
    yield one("media", chat("ok"), content_type="text/plain")
    yield one("no-media", chat("ok"), content_type="")
    yield one("encoded", chat("ok"), content_encoding="gzip")
    yield one("messages-refused", {"model": "no-such-model", "messages": []}, "/v1/messages")
    yield one("traced", chat("ok"), traceparent=f"00-{'4' * 32}-{'5' * 16}-00")
    yield one("trace-id", chat("ok"), x_trace_id="6" * 32)
    yield one("ids-made", chat("ok"), x_request_id="")
    yield one("key-1", chat("ok", stream=True), idempotency_key="k")
    yield one("key-again", chat("ok", stream=True), idempotency_key="k")
    yield one("key-conflict", chat("ok"), idempotency_key="k")
    yield one("key-bad", chat("ok"), idempotency_key="k" * 256)
    yield one("key-of-failure", chat("500"), idempotency_key="f")
    yield Case("leaves", posted("leaves", chat("patient", stream=True)), leaves_after=b"one ")
    yield Case("closed-after", posted("closed-after", chat("ok"), connection="close"), 2)
    yield Case("closed-after-a-stream", posted("closed-stream", chat("ok", stream=True), connection="close"), 2)
    yield from connections()


def connections() -> Iterator[Case]:
    """More than one request, or none that the wire takes."""

    def bare(first: str, *lines: str) -> bytes:
        return "\r\n".join((first, "host: gateway", *lines, "", "")).encode()

    asked = posted("p-1", chat("ok"))
    health = bare("GET /health HTTP/1.1")
    yield Case("several", asked + health + posted("p-2", chat("ok", stream=True)) + posted("p-3", chat("500")), 4)
    yield Case("behind-a-refusal", posted("p-4", chat("ok"), key="no-key") + posted("p-5", chat("ok")), 2)
    yield Case("chunked", bare("POST /v1/chat/completions HTTP/1.1", "x-api-key: dev-key", "x-request-id: c-1",
                               "content-type: application/json", "transfer-encoding: chunked")
               + b'e\r\n{"model":"ok"}\r\n0\r\n\r\n' + posted("p-6", chat("ok")), 2)  # fmt: skip
    yield Case("expects", posted("p-7", chat("ok"), expect="100-continue"), 2)
    yield Case("old", posted("p-8", chat("ok")).replace(b"HTTP/1.1", b"HTTP/1.0"), 2)
    yield Case("query", posted("p-9", chat("ok"), "/v1/chat/completions?a=b"))
    yield Case("absolute", posted("p-10", chat("ok"), "http://gateway/v1/chat/completions"))
    yield Case("slashes", posted("p-11", chat("ok"), "/v1//chat/completions"))
    yield Case("slash-at-its-end", posted("p-20", chat("ok"), "/v1/chat/completions/"))
    yield Case("percent", posted("p-21", chat("ok"), "/v1/%63hat/completions"))
    yield Case("percent-slash", posted("p-22", chat("ok"), "/v1/chat%2Fcompletions"))
    yield Case("no-host", posted("p-12", chat("ok"), host=""), 2)
    yield Case("two-lengths", posted("p-13", chat("ok"), content_Length="4"), 2)
    yield Case("two-framings", posted("p-14", chat("ok"), transfer_encoding="chunked"), 2)
    yield Case("folded", posted("p-15", chat("ok"), x_folded="a\r\n b"), 2)
    yield Case("large-head", posted("p-16", chat("ok"), x_long="a" * 20_000))
    yield Case("too-large-head", posted("p-17", chat("ok"), x_long="a" * 40_000), 2)
    yield Case("many-headers", posted("p-18", chat("ok"), **{f"x{number}": "1" for number in range(120)}), 2)
    for method in ("GET", "HEAD", "OPTIONS", "DELETE", "PUT"):
        yield Case(f"method-{method}", bare(f"{method} /v1/chat/completions HTTP/1.1", "connection: close"), 2)
    yield Case("kept", bare("GET /v1/responses/resp_unknown HTTP/1.1", "authorization: Bearer dev-key"))
    yield Case("cancel", posted("p-19", b"", "/v1/responses/resp_unknown/cancel"))
    yield Case(
        "pages", bare("GET /health HTTP/1.1") + bare("GET /nowhere HTTP/1.1") + bare("GET /openapi.json HTTP/1.1"), 3
    )


CASES = {case.name: case for case in corpus()}


@dataclass
class Told:
    """What one gateway has made of the corpus."""

    answers: dict[str, list[Heard]]
    closed: dict[str, bool]
    asked: list[Seen]
    lines: list[dict[str, Any]]
    audit: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    figures: dict[str, float]


def talk(port: int, case: Case) -> tuple[list[Heard], bool]:
    """The answers, and whether the gateway closed the connection before all had come that were waited for."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        data, closed = b"", False
        try:
            client.sendall(case.data)
            while sum(one.whole for one in heard(data)) < case.answers:
                if case.leaves_after and case.leaves_after in data:
                    return [], False
                piece = client.recv(1 << 20)
                if not piece:
                    closed = True
                    break
                data += piece
        except ConnectionError:  # it closes while a body is on its way that it does not want
            closed = True
        return heard(data), closed


def run(edge: Edge, folder: Path) -> Told:
    engine = Engine().start()
    keys = {"keys": [{"id": key, "digest": f"sha256:{digest(key.encode()).hex()}"} for key in KEYS]}
    (folder / "keys.yaml").write_text(json.dumps(keys))
    (folder / "resolve.json").write_text(
        json.dumps({"engine.test:80": f"127.0.0.1:{engine.port}", "nobody.test:80": "127.0.0.1:1"})
    )
    flags = {
        "--routes": write_routes(folder / "routes", {"all": routes()}), "--keys": folder / "keys.yaml",
        "--resolve": folder / "resolve.json", "--audit": folder / "audit", "--decisions": folder / "decisions",
    }  # fmt: skip
    env = {"GATEWAY_EDGE": edge, "GATEWAY_PII_HASH_SALT": "salt", "GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1000"}
    gateway = Gateway(folder, *(str(part) for flag in flags.items() for part in flag), env=env).wait()
    try:
        found = {name: talk(gateway.port, case) for name, case in CASES.items()}
        assert engine.of("stall-midway")[-1].cut_off.wait(20), "the client that left has taken its request with it"
        figures = figures_of(gateway.get("/metrics").text)
    finally:
        assert gateway.stop() == 0
        engine.stop()
    return Told(
        {name: answers for name, (answers, _) in found.items()},
        {name: closed for name, (_, closed) in found.items()},
        engine.seen,
        logged(gateway.log),
        written(folder / "audit"),
        written(folder / "decisions"),
        figures,
    )


def figures_of(text: str) -> dict[str, float]:
    """Of what is counted, and not measured."""
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("gateway_") and sample.name.endswith(("_total", "_count"))
    }


def logged(log: Path) -> list[dict[str, Any]]:
    """Of requests; and what uvicorn says in words of its own."""
    lines = [json.loads(line) if line.startswith("{") else {"said": line} for line in log.read_text().splitlines()]
    return [line for line in lines if line.get("message", "request") == "request"]


def written(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for file in sorted(folder.iterdir()) for line in file.read_text().splitlines()]
    return [line for line in lines if line["kind"] == "decision"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[Edge, Told]:
    here = [edge for edge in EDGES if edge != "native" or native.is_built()]
    with ThreadPoolExecutor(len(here)) as pool:
        under_way = {edge: pool.submit(run, edge, tmp_path_factory.mktemp(edge)) for edge in here}
        return {edge: found.result() for edge, found in under_way.items()}


_ID = re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{16})\b")
_MEASURED = frozenset({
    "timestamp", "time", "duration_ms", "first_byte_ms", "longest_gap_ms", "seq", "sequence", "number", "prev", "hash",
    "chain", "process", "pid",
})  # fmt: skip


def alike(lines: list[dict[str, Any]]) -> list[str]:
    """Without times and chains, with every id that was made alike, in an order that does not tell who was first."""
    return sorted(_ID.sub("ID", json.dumps({name: value for name, value in line.items() if name not in _MEASURED},
                                           sort_keys=True)) for line in lines)  # fmt: skip


@pytest.mark.parametrize("edge", OURS)
@pytest.mark.parametrize("name", CASES)
def test_the_answer_is_the_same(told: dict[Edge, Told], name: str, edge: Edge) -> None:
    wire, asgi = told[edge], told["asgi"]
    assert [sans_time(one) for one in wire.answers[name]] == [sans_time(one) for one in asgi.answers[name]]
    assert wire.closed[name] is asgi.closed[name]
    assert wire.answers[name] or CASES[name].leaves_after, "it was answered at all"


def sans_time(one: Heard) -> Any:
    status, headers, body, whole = one.same()
    measured = (b"x-ratelimit-reset-requests", b"x-ratelimit-reset-tokens", b"retry-after")
    return status, [(name, b"TIME" if name in measured else value) for name, value in headers], body, whole


@pytest.mark.parametrize("edge", OURS)
def test_engines_are_asked_the_same(told: dict[Edge, Told], edge: Edge) -> None:
    wire, asgi = (
        [[one.method, one.path, one.behaviour, _ID.sub("ID", json.dumps(one.headers)), one.body] for one in one_s.asked]
        for one_s in (told[edge], told["asgi"])
    )
    assert wire == asgi
    assert len(wire) > len(CASES) // 2


@pytest.mark.parametrize("edge", OURS)
@pytest.mark.parametrize("kind", ["lines", "audit", "decisions"])
def test_it_is_told_the_same(told: dict[Edge, Told], kind: str, edge: Edge) -> None:
    wire, asgi = (alike(getattr(told[one], kind)) for one in (edge, "asgi"))
    assert wire == asgi
    assert len(wire) > len(CASES) // 2


@pytest.mark.parametrize("edge", OURS)
def test_it_is_counted_the_same(told: dict[Edge, Told], edge: Edge) -> None:
    assert told[edge].figures == told["asgi"].figures
    assert sum(value for name, value in told[edge].figures.items() if name.startswith("gateway_requests_total")) > 100


def test_what_differs_is_seen(told: dict[Edge, Told]) -> None:
    """Else the comparisons above would hold of anything."""
    one, other = told["wire"].answers["ok-whole"][0], told["wire"].answers["ok-stream"][0]
    assert sans_time(one) != sans_time(other)
    lines = told["wire"].lines
    assert alike(lines) != alike([{**line, "status": 201} for line in lines])
