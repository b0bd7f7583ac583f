"""What each stage of a request costs the gateway in user space: in this process, without a socket, all features on.

Each row is the least of many runs, so that what else the machine does is left out of it; the whole is measured from the
callback of one socket to the write on the other, since stages one after the other find each other's caches cold.
"""

from __future__ import annotations

import asyncio
import gc
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import click
import uvloop

from nexus_gateway.admission import headers_of
from nexus_gateway.asked import read
from nexus_gateway.auth import Credentials, authenticate
from nexus_gateway.breaker import BreakerSettings
from nexus_gateway.exchange import RequestHead
from nexus_gateway.gateway import Gateway
from nexus_gateway.key_ring import KeyRing
from nexus_gateway.keys import Key, digest
from nexus_gateway.limited_protocol import LimitedProtocol
from nexus_gateway.limits.estimate import estimate
from nexus_gateway.limits.memory import MemoryLimiter
from nexus_gateway.plain_head import END, plain_head
from nexus_gateway.policy import hold_to, route_for
from nexus_gateway.request import Request
from nexus_gateway.served import Served
from nexus_gateway.snapshot import build
from nexus_gateway.surfaces import SURFACES
from nexus_gateway.telemetry.audit import AuditLog
from nexus_gateway.telemetry.logs import LogWriter
from nexus_gateway.telemetry.record import RequestRecord
from nexus_gateway.trace import trace
from nexus_gateway.upstream_call import call_of
from nexus_gateway.upstreams.connection import Connection
from nexus_gateway.upstreams.http import HttpUpstream
from nexus_gateway.wire_exchange import WireExchange

from ..support.edges import Server

_CREDENTIAL = b"nxs-of-a-bench-0123456789abcdef"
_PATH = "/v1/chat/completions"
_RUNS, _CALLS, _REQUESTS = 200, 50, 4000


@dataclass(frozen=True)
class Stage:
    name: str
    file: str
    budget: float
    """Microseconds, on a core of its own."""
    least: float
    """Microseconds."""


def body() -> bytes:
    """2 kB, as a client with a short conversation sends it."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "word " * 370}]
    return json.dumps({"model": "chat", "max_tokens": 64, "temperature": 0.7, "messages": messages}).encode()


def request(said: bytes = b"") -> bytes:
    """With the body above, where none is given."""
    said = said or body()
    return b"\r\n".join((
        b"POST %b HTTP/1.1" % _PATH.encode(),
        b"host: gateway.test",
        b"user-agent: OpenAI/Python 2.8.0",
        b"accept: application/json",
        b"content-type: application/json",
        b"authorization: Bearer " + _CREDENTIAL,
        b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        b"content-length: %d" % len(said),
        b"",
        said,
    ))  # fmt: skip


def answer() -> bytes:
    message = {"index": 0, "message": {"role": "assistant", "content": "t" * 200}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 412, "completion_tokens": 64, "total_tokens": 476}
    said = json.dumps({"id": "c-1", "object": "chat.completion", "choices": [message], "usage": usage}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said)


def gateway(folder: Path) -> Gateway:
    """A key with both limits, an audit log, and a log with masking, as `serve` puts them together."""
    file = {
        "upstreams": {"engine": {"url": "http://engine.test"}},
        "routes": {"chat": {"strategy": "direct", "upstream": "engine"}},
        "policies": {"bench": {"requests_per_minute": 1_000_000_000, "tokens_per_minute": 1_000_000_000}},
    }
    served = Served(build({"chat.yaml": json.dumps(file).encode()}, {}, 10.0, {}))
    known = Credentials(KeyRing({digest(_CREDENTIAL): Key("bench", None, admin=False)}))
    audit = AuditLog(folder, b"salt" * 8, "bench")
    return Gateway(served, known, BreakerSettings(), LogWriter(StringIO()), audit)


def stages(shared: Gateway) -> list[Stage]:
    raw, said, surface = request(), body(), SURFACES[_PATH]
    lines = raw[: raw.find(END) + 2]
    plain = plain_head(lines)
    assert plain is not None
    head, snapshot, limiter = plain.head, shared.served.current, MemoryLimiter()
    caller = snapshot.standing.caller(_now(authenticate(head, shared.known)))
    asked, route = read(head, said), route_for(caller, "chat", snapshot.table)
    verdict = limiter.reserve("bench", caller.limits, 500).value[0]

    def decided() -> object:
        route_for(caller, "chat", snapshot.table)
        hold_to(caller.policy, surface, asked, said)
        return snapshot.standing.only(route, surface)

    def limited() -> object:
        found = limiter.reserve("bench", caller.limits, estimate(asked, surface, caller.policy, len(said)))
        return found.value, headers_of(verdict)

    only = snapshot.standing.only(route, surface)
    pool = shared.upstream(snapshot, only.endpoint) if only is not None else None
    assert only is not None
    assert isinstance(pool, HttpUpstream)
    record = RequestRecord("POST", _PATH, "", 0.0)
    exchange = WireExchange(Server("wire", shared).connect().protocol, plain)
    asking = Request(exchange, snapshot, trace(head), record, caller, surface, asked, said, route)

    def told() -> object:
        return pool.send(call_of(asking, only, "00f067aa0ba902b7", said))

    return [
        Stage("head", "plain_head.py", 4.0, least(lambda: plain_head(lines))),
        Stage("ids", "trace.py", 1.2, least(lambda: trace(head))),
        Stage("record", "telemetry/record.py", 0.5, least(lambda: RequestRecord("POST", _PATH, "", 0.0))),
        Stage("who", "auth.py, standing.py", 1.5, least(lambda: snapshot.standing.caller(_known(head, shared)))),
        Stage("body", "asked.py", 5.0, least(lambda: read(head, said))),
        Stage("route, engine", "policy.py, standing.py", 0.8, least(decided)),
        Stage("limits", "limits/, admission.py", 4.0, least(limited)),
        Stage("call", "upstream_call.py, upstreams/http.py", 2.5, least(told)),
    ]


def least(call: Callable[[], object]) -> float:
    """Microseconds of one call."""
    found, now = float("inf"), time.perf_counter
    for _ in range(_RUNS):
        began = now()
        for _ in range(_CALLS):
            call()
        found = min(found, now() - began)
    return found / _CALLS * 1e6


class Silent(asyncio.Transport):
    """Takes whatever is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"sockname": ("127.0.0.1", 8000), "peername": ("127.0.0.1", 50000)}.get(name, default)

    def write(self, data: object) -> None:
        self.writes += 1

    def writelines(self, list_of_data: object) -> None:
        self.writes += 1

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...

    def abort(self) -> None: ...


def connected(shared: Gateway, client: Silent, engine: Silent) -> tuple[LimitedProtocol, Connection]:
    """A client's connection, and the one to the engine that its requests take."""
    protocol = Server("wire", shared).connect().protocol
    protocol.connection_made(client)
    endpoint = shared.served.current.table.upstreams["engine"].endpoints[0]
    pool = shared.upstream(shared.served.current, endpoint)
    assert isinstance(pool, HttpUpstream)
    connection = Connection(pool._put, pool._drop)
    connection.connection_made(engine)
    pool._put(connection)
    return protocol, connection


async def whole(shared: Gateway) -> tuple[Stage, Stage]:
    """From the client's bytes to the engine's socket, and from the engine's bytes to the end of the answer."""
    client, engine = Silent(), Silent()
    protocol, connection = connected(shared, client, engine)
    asked, answered, there, back = request(), answer(), float("inf"), float("inf")
    gc.collect()
    gc.freeze()
    for _ in range(_REQUESTS):
        began = time.perf_counter()
        protocol.data_received(asked)
        half = time.perf_counter()
        connection.data_received(answered)
        there, back = min(there, half - began), min(back, time.perf_counter() - half)
    assert min(engine.writes, client.writes) >= _REQUESTS, "not every request was answered"
    return (
        Stage("**request, as a whole**", "wire.py … upstreams/connection.py", 50.0, there * 1e6),
        Stage("**answer, as a whole**", "upstreams/connection.py … wire.py", 50.0, back * 1e6),
    )


def _known(head: RequestHead, shared: Gateway) -> Key:
    return _now(authenticate(head, shared.known))


def _now(story: Any) -> Any:
    """What a story gives that waits for nothing."""
    try:
        story.send(None)
    except StopIteration as ended:
        return ended.value
    raise AssertionError("it waits for something")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        shared = gateway(Path(folder))
        found = [*stages(shared), *uvloop.run(whole(shared))]
    click.echo("| stage | file | budget µs | least µs |\n| --- | --- | --- | --- |")
    for one in found:
        click.echo(f"| {one.name} | `{one.file}` | {one.budget:.1f} | {one.least:.1f} |")


if __name__ == "__main__":
    main()
