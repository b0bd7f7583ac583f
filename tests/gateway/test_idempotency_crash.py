"""A gateway process is killed at every await point of a request with an Idempotency-Key, and the client asks another.

The killed one is a process of its own that steps the story by hand and kills itself, with SIGKILL, where the story
waits. What its client has got until then is told before.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import pytest

from nexus_gateway.auth import Credentials
from nexus_gateway.breaker import BreakerSettings
from nexus_gateway.exchange import Headers, RequestHead, Waiter, given
from nexus_gateway.gateway import Gateway as Parts
from nexus_gateway.idempotency import shared
from nexus_gateway.idempotency.settings import IdempotencySettings
from nexus_gateway.idempotency.under_way import UnderWay
from nexus_gateway.key_ring import KeyRing
from nexus_gateway.keys import keys_of_environment
from nexus_gateway.proxy import answer
from nexus_gateway.served import Served
from nexus_gateway.snapshot import build
from nexus_gateway.surfaces import SURFACES
from nexus_gateway.telemetry.logs import LogWriter

from ..support.gateway import PLAIN, Gateway, direct, write_routes
from ..support.redis_server import RedisServer, patient_bin
from ..support.upstream import Engine

pytestmark = pytest.mark.services
LEASE = IdempotencySettings(lease_seconds=0.5)
PATH = "/v1/chat/completions"
FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload([__name__])


@dataclass
class Got:
    """What the client of the killed gateway has got."""

    await_point: str = ""
    """Where it died; empty where the story had ended before."""
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    @property
    def whole(self) -> bool:
        length = dict(self.headers).get(b"content-length")
        return len(self.body) == int(length) if length else self.body.endswith(b"data: [DONE]\n\n")


class PlainExchange:
    """A client that is asked for room at each piece. Where the story stops it takes nothing more until it may go on."""

    def __init__(self, name: str, body: bytes) -> None:
        given = {"authorization": "Bearer dev-key", "content-type": "application/json", "idempotency-key": name}
        headers = [(key.encode(), value.encode()) for key, value in given.items()]
        self.head = RequestHead("POST", PATH, headers, "127.0.0.1")
        self.closed, self.got = Waiter[None](), Got()
        self._takes = False
        self.waiting: dict[str, Waiter[Any]] = {"body": Waiter()}
        self._content = body

    def body(self) -> Waiter[bytes]:
        return self.waiting["body"]

    def start(self, status: int, headers: Headers) -> None:
        self.got.headers = headers

    flowing = False

    def write(self, framed: bytes) -> None:
        raise AssertionError("nobody may")

    def send(self, data: bytes, seconds: float, framed: bytes = b"") -> Waiter[None]:
        self.got.body += data
        if self._takes:  # the story awaits the stream's end, and of its pieces it is not told
            return given(None)
        self.waiting[f"room after {len(self.got.body)} bytes"] = room = Waiter[None]()
        return room

    def end(self) -> None:
        """Whether it is whole, the client sees by itself."""

    def stop(self) -> None:
        self._takes = False

    def go_on(self) -> None:
        self._takes = True
        for name in list(self.waiting):
            self.waiting.pop(name).give(self._content if name == "body" else None)


def die(point: int, url: str, engine: str, name: str, body: bytes, told: Connection) -> None:
    """Steps a request to its await point of that number, from 1, tells what the client has, and dies."""
    asyncio.run(_die(point, url, engine, PlainExchange(name, body), told))


async def _die(point: int, url: str, engine: str, exchange: PlainExchange, told: Connection) -> None:
    served = Served(build({"ok.yaml": json.dumps(direct("ok", engine)).encode()}, {}, 10.0))
    shared.ASK_SECONDS = 25.0  # a busy machine is no Redis that is away
    known = Credentials(KeyRing(keys_of_environment(None, "127.0.0.1")))
    under_way = UnderWay(shared.SharedStore(url, LEASE, lambda up, reason: None), LEASE)
    gateway = Parts(served, known, BreakerSettings(), LogWriter(), under_way=under_way)
    await gateway.begin()
    story = answer(gateway, exchange, SURFACES[PATH])
    for number in range(1, 1000):
        exchange.stop()
        try:
            waiter = story.send(None)
        except StopIteration:
            break
        if number == point:
            exchange.got.await_point = f"{number}: {', '.join(exchange.waiting) or 'an engine or Redis'}"
            break
        exchange.go_on()
        await settled(waiter)
    told.send(exchange.got)
    os.kill(os.getpid(), signal.SIGKILL)


async def settled(waiter: Waiter[Any]) -> None:
    event = asyncio.Event()
    waiter.then(event.set)
    await event.wait()


def killed(point: int, redis: RedisServer, engine: Engine, name: str, body: bytes) -> Got:
    hears, tells = FORKING.Pipe(duplex=False)
    process = FORKING.Process(target=die, args=(point, redis.url, engine.url("ok"), name, body, tells))
    process.start()
    tells.close()
    with hears:
        got = hears.recv()
    process.join(20)
    assert process.exitcode == -signal.SIGKILL
    assert isinstance(got, Got)
    return got


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def second(engine: Engine, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway that the client asks then."""
    folder: Path = tmp_path_factory.mktemp("second")
    routes = write_routes(folder / "routes", {"ok": direct("ok", engine.url("ok"))})
    env = {"GATEWAY_REDIS_URL": redis.url}
    gateway = Gateway(folder, "--routes", str(routes), env=env, bin_folder=patient_bin(folder)).wait()
    yield gateway
    assert gateway.stop() == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_a_client_has_got_whole_is_never_paid_twice(
    second: Gateway, engine: Engine, redis: RedisServer, stream: bool
) -> None:
    """And what it has not got whole is got by asking again, wherever the first gateway died."""
    body = json.dumps({"model": "ok", "messages": [], "stream": stream}).encode()
    delivered, points = set[bool](), list[str]()
    while True:
        name, before = uuid.uuid4().hex, len(engine.of("ok"))
        got = killed(len(points) + 1, redis, engine, name, body)
        retries = [retry(second, name, body) for _ in range(2)]
        calls, where = len(engine.of("ok")) - before, f"killed at {got.await_point or 'its end'}"
        assert retries[0].endswith(b"data: [DONE]\n\n" if stream else b"}"), where
        assert retries[0] == retries[1], where
        assert calls <= 2, where
        if got.whole:
            assert calls == 1, where
            assert retries[0] == got.body, where
        delivered.add(got.whole)
        if not got.await_point:
            break
        points.append(got.await_point)
    assert delivered == {False, True}, points
    assert len(points) >= 5, points


def retry(gateway: Gateway, name: str, body: bytes) -> bytes:
    headers = {"authorization": "Bearer dev-key", "content-type": "application/json", "idempotency-key": name}
    answer = httpx.post(gateway.url + PATH, content=body, headers=headers, timeout=30, verify=PLAIN)
    assert answer.status_code == 200
    return answer.content
