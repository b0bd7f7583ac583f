"""Limits of several gateways that count in one Redis, and of each alone while Redis is away."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from nexus_gateway.limits.shared import _key
from nexus_gateway.limits.windows import WINDOW_SECONDS

from ..support.gateway import Gateway, code, until, write_routes
from ..support.redis_server import RedisServer
from ..support.upstream import Engine

pytestmark = pytest.mark.services
PATIENT = {"GATEWAY_REDIS_DEADLINE_SECONDS": "20"}
"""A machine that is busy is no Redis that is away."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path).start()
    yield server
    server.go_on()
    server.kill()


def gateways(tmp_path: Path, engine: Engine, url: str, count: int, most: int, **env: str) -> list[Gateway]:
    document = {
        "upstreams": {"ok": {"url": engine.url("ok")}},
        "routes": {"ok": {"strategy": "direct", "upstream": "ok"}},
        "policies": {"dev-key": {"requests_per_minute": most, "tokens_per_minute": 1_000_000}},
    }
    routes = write_routes(tmp_path / "routes", {"all": document})
    folders = [tmp_path / str(number) for number in range(count)]
    for folder in folders:
        folder.mkdir()
    given = {"GATEWAY_REDIS_URL": url, **env}
    return [Gateway(folder, "--routes", str(routes), env=given).wait() for folder in folders]


def counted(gateway: Gateway) -> bool:
    """Whether Redis counts for it."""
    return "gateway_limiter_shared 1.0" in gateway.get("/metrics").text


def test_three_gateways_admit_the_limit_together_though_one_is_killed(
    tmp_path: Path, engine: Engine, redis: RedisServer
) -> None:
    most = 100
    three = gateways(tmp_path, engine, redis.url, 3, most, **PATIENT)
    killed = threading.Event()

    def one(number: int) -> int:
        if number == 60:
            three[2].process.kill()
            three[2].process.wait(10)
            killed.set()
        gateway = three[number % (2 if killed.is_set() else 3)]
        try:
            return gateway.ask("ok").status_code
        except httpx.TransportError:
            return 0

    began = time.time()
    with ThreadPoolExecutor(12) as pool:
        statuses = Counter(pool.map(one, range(240)))
    cut_off, ended = statuses[0], time.time()
    # Past the border of a window what was counted before it slides out of it, so that a little more is let in.
    slid = ended % WINDOW_SECONDS if began // WINDOW_SECONDS != ended // WINDOW_SECONDS else 0.0
    assert most - cut_off <= statuses[200] <= most * (1.01 + slid / WINDOW_SECONDS)
    assert statuses[429] > 100
    assert all(gateway.stop() == 0 for gateway in three[:2])


def test_while_redis_is_away_each_counts_for_itself_and_it_is_told_once(
    tmp_path: Path, engine: Engine, redis: RedisServer
) -> None:
    (gateway,) = gateways(tmp_path, engine, redis.url, 1, 5, **PATIENT)
    assert gateway.ask("ok").status_code == 200
    redis.kill()
    statuses = [gateway.ask("ok").status_code for _ in range(8)]
    assert statuses == [200] * 5 + [429] * 3, "the limit holds for this gateway alone"
    assert not counted(gateway)
    redis.start()
    until(lambda: (gateway.ask("ok"), counted(gateway))[1], "Redis counts again")
    assert gateway.stop() == 0
    told = [line["message"] for line in gateway.lines() if "Redis" in line["message"]]
    assert told == ["Redis does not answer; limits are counted here alone", "limits are counted in Redis again"]


def test_a_redis_that_stalls_holds_nobody_up(tmp_path: Path, engine: Engine, redis: RedisServer) -> None:
    (gateway,) = gateways(tmp_path, engine, redis.url, 1, 1000)
    assert gateway.ask("ok").status_code == 200
    redis.stall()
    assert [gateway.ask("ok").status_code for _ in range(20)] == [200] * 20
    assert not counted(gateway)
    redis.go_on()
    until(lambda: (gateway.ask("ok"), counted(gateway))[1], "Redis counts again")
    assert gateway.stop() == 0, "and it can be stopped"


@pytest.mark.parametrize(
    "nonsense",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n$-7\r\n*99999999\r\n", b"*1\r\n" * 20_000, b"%1\r\n*0\r\n+x\r\n" * 9, b"\0" * 9],
    ids=["HTTP", "nested", "map", "NUL"],
)
def test_a_redis_that_talks_nonsense_is_one_that_is_away(tmp_path: Path, engine: Engine, nonsense: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def talk() -> None:
            while not ended.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with suppress(OSError):  # it may leave in the middle
                    connection.sendall(nonsense)
                connection.close()

        thread = threading.Thread(target=talk)
        thread.start()
        (gateway,) = gateways(tmp_path, engine, f"redis://127.0.0.1:{listener.getsockname()[1]}/0", 1, 3)
        assert [gateway.ask("ok").status_code for _ in range(4)] == [200, 200, 200, 429]
        assert gateway.stop() == 0
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_a_gateway_starts_without_redis(tmp_path: Path, engine: Engine) -> None:
    (gateway,) = gateways(tmp_path, engine, "redis://127.0.0.1:1/0", 1, 2)
    assert [gateway.ask("ok").status_code for _ in range(3)] == [200, 200, 429]
    assert gateway.stop() == 0


def test_limits_that_are_set_to_hold_are_503_without_redis(tmp_path: Path, engine: Engine) -> None:
    (gateway,) = gateways(tmp_path, engine, "redis://127.0.0.1:1/0", 1, 2, GATEWAY_LIMITS_FAIL_OPEN="false")
    answer = gateway.ask("ok")
    assert (answer.status_code, code(answer), answer.headers["retry-after"]) == (503, "limiter_unavailable", "1")
    assert gateway.stop() == 0


def test_what_redis_keeps_names_nobody_and_goes_by_itself(tmp_path: Path, engine: Engine, redis: RedisServer) -> None:
    (gateway,) = gateways(tmp_path, engine, redis.url, 1, 5, **PATIENT)
    gateway.ask("ok")
    keys = redis.keys()
    assert len(keys) == 1
    assert b"dev-key" not in keys[0]
    assert gateway.stop() == 0


@pytest.mark.parametrize("name", ["*", "a\r\nFLUSHALL\r\n", "x" * 1_000_000, "\0", "🤖", "\ud800", "}{"])
def test_a_bucket_s_name_touches_no_other_key(name: str) -> None:
    key = _key(name)
    assert len(key) == len(_key("a"))
    assert key.startswith("nexus:limit:{")
    assert key[13:-1].isalnum()


def test_a_url_that_is_none_stops_the_start_and_tells_no_password(tmp_path: Path) -> None:
    env = {"GATEWAY_UPSTREAMS": "mock=mock://local", "GATEWAY_REDIS_URL": "http://:secret-word@h/0"}
    gateway = Gateway(tmp_path, env=env)
    assert gateway.process.wait(60) == 2
    said = gateway.log.read_text()
    assert "GATEWAY_REDIS_URL" in said
    assert "secret-word" not in said
