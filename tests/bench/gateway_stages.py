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

from nexus_gateway import wire
from nexus_gateway.asked import read_body
from nexus_gateway.auth import Credentials
from nexus_gateway.breaker import BreakerSettings
from nexus_gateway.gateway import Gateway
from nexus_gateway.key_ring import KeyRing
from nexus_gateway.keys import Key, digest
from nexus_gateway.limited_protocol import LimitedProtocol
from nexus_gateway.limits.estimate import estimate
from nexus_gateway.limits.memory import MemoryLimiter
from nexus_gateway.plain_head import END, plain_head
from nexus_gateway.served import Served
from nexus_gateway.settings import Edge
from nexus_gateway.snapshot import build
from nexus_gateway.straight import setting_out
from nexus_gateway.straight.exchange import StraightExchange
from nexus_gateway.straight.heads import KnownHead, KnownHeads
from nexus_gateway.straight.usage import usage_in
from nexus_gateway.surfaces import SURFACES
from nexus_gateway.telemetry.audit import AuditLog
from nexus_gateway.telemetry.logs import LogWriter
from nexus_gateway.trace import new_ids
from nexus_gateway.upstreams.connection import Connection
from nexus_gateway.upstreams.http import HttpUpstream
from nexus_gateway.wire import WireProtocol

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


@dataclass(frozen=True)
class Walk:
    """A request on the straight way, stopped between there and back."""

    protocol: WireProtocol
    connection: Connection
    exchange: StraightExchange


def walk(shared: Gateway) -> Walk:
    protocol, connection = connected(shared, Silent(), Silent())
    protocol.data_received(request())
    assert isinstance(protocol, WireProtocol)
    exchange = protocol._current
    assert isinstance(exchange, StraightExchange)
    return Walk(protocol, connection, exchange)


def stages(shared: Gateway, walking: Walk) -> list[Stage]:
    raw, said, surface = request(), body(), SURFACES[_PATH]
    lines, told = raw[: raw.find(END) + 2], answer()
    told = told[told.find(END) + len(END) :]
    plain = plain_head(lines)
    assert plain is not None
    exchange, asked, limiter = walking.exchange, read_body(said), MemoryLimiter()
    way, record = exchange._way, exchange._record()
    record.status, record.first_byte, record.ended, record.prompt_tokens = 200, 0.1, 0.2, 412
    caller, snapshot, digests = way.caller, shared.served.current, KnownHead(plain)
    heads = KnownHeads()
    usual = lines.replace(b"traceparent", b"x-something")  # a head with ids is read each time
    heads.keep(usual, KnownHead(plain_head(usual) or plain))
    kind = shared.metrics.usual_of(way.kind)

    def limited() -> object:
        tokens = estimate(asked, surface, caller.policy, len(said))
        found = limiter.at_once("bench", caller.limits, tokens)
        assert found is not None
        limiter.settle(found[1], 476)
        return found

    def ways() -> object:
        key = shared.known.ring.find(digests.digest or b"", 0.0)
        return key and setting_out._way(shared, snapshot, key, "chat", surface)

    def head() -> object:
        return KnownHead(plain_head(lines) or plain)

    def tell() -> None:
        shared.tell(record)

    return [
        Stage("head, seen before", "straight/heads.py", 0.9, least(lambda: heads.find(usual))),
        Stage("head, with ids of its own", "plain_head.py, straight/heads.py", 6.0, least(head)),
        Stage("ids", "trace.py", 0.4, least(new_ids)),
        Stage("who, route, engine", "straight/way.py", 0.6, least(ways)),
        Stage("body", "asked.py", 5.0, least(lambda: read_body(said))),
        Stage("limits, there and back", "limits/", 3.5, least(limited)),
        Stage("the answer's usage", "straight/usage.py", 1.0, least(lambda: usage_in(told))),
        Stage("record", "telemetry/record.py", 1.0, least(exchange._record)),
        Stage("figures", "telemetry/usual.py", 1.5, least(lambda: shared.metrics.count_as(record, kind, 0.1))),
        Stage("log and audit", "telemetry/", 4.0, least(tell)),
    ]  # fmt: skip


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

    def get_write_buffer_size(self) -> int:
        return 0

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return 0, 1 << 16

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


def connected(
    shared: Gateway, client: Silent, engine: Silent, edge: Edge = "wire"
) -> tuple[LimitedProtocol, Connection]:
    """A client's connection, and the one to the engine that its requests take."""
    protocol = Server(edge, shared).connect().protocol
    protocol.connection_made(client)
    endpoint = shared.served.current.table.upstreams["engine"].endpoints[0]
    pool = shared.upstream(shared.served.current, endpoint)
    assert isinstance(pool, HttpUpstream)
    connection = Connection(pool._put, pool._drop)
    connection.connection_made(engine)
    pool._put(connection)
    return protocol, connection


async def whole(shared: Gateway, way: str, there_budget: float, back_budget: float) -> tuple[Stage, Stage]:
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
    await asyncio.sleep(0)  # the end of the turn, in which all was said
    assert min(engine.writes, client.writes) >= _REQUESTS, "not every request was answered"
    return (
        Stage(f"**request, {way}**", "wire.py … upstreams/connection.py", there_budget, there * 1e6),
        Stage(f"**answer, {way}**", "upstreams/connection.py … wire.py", back_budget, back * 1e6),
    )


async def measured(shared: Gateway) -> list[Stage]:
    found = [*stages(shared, walk(shared)), *await whole(shared, "straight", 28.0, 20.0)]
    wire.set_out = lambda *_: None  # type: ignore[assignment]  # nobody goes straight from here on
    return [*found, *await whole(shared, "by the story", 55.0, 45.0)]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = uvloop.run(measured(gateway(Path(folder))))
    click.echo("| stage | file | budget µs | least µs |\n| --- | --- | --- | --- |")
    for one in found:
        click.echo(f"| {one.name} | `{one.file}` | {one.budget:.1f} | {one.least:.1f} |")


if __name__ == "__main__":
    main()
