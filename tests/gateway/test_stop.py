"""How a gateway ends: what is under way is finished, and nothing that is owed is forgotten."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis as redis_client

from nexus_release.local.free_ports import free_port

from ..support.gateway import BIN, Gateway, direct, until, write_routes
from ..support.redis_server import RedisServer
from ..support.upstream import USAGE, Engine

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    running = RedisServer(tmp_path).start()
    yield running
    running.kill()


SOONER = 20.0
"""Seconds: less than who asks has patience, an engine's gate is shut and a grace lasts, any of which ends it too."""


def start(folder: Path, engine: Engine, workers: str, **env: str) -> Gateway:
    document: dict[str, Any] = direct("gated", engine.url("gated"), first_byte_seconds=600)
    routes = write_routes(folder / "routes", {"gated": document, "ok": direct("ok", engine.url("ok"))})
    return Gateway(folder, "--routes", str(routes), "--workers", workers, env=env).wait()


@contextmanager
def at_the_engine(gateway: Gateway, engine: Engine) -> Iterator[Future[httpx.Response]]:
    """A request that is with its engine until the gate is opened, at the latest at the end."""
    engine.gate.clear()
    before = len(engine.of("gated"))
    with ThreadPoolExecutor(1) as pool:
        try:
            held = pool.submit(gateway.ask, "gated", wait=True)
            until(lambda: len(engine.of("gated")) == before + 1, "it is at the engine")
            yield held
        finally:
            engine.gate.set()
    engine.gate.clear()


def refused(gateway: Gateway) -> bool:
    try:
        httpx.get(f"{gateway.url}/health", timeout=2)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        return False
    return False


@WORKERS
def test_an_answer_that_is_under_way_is_finished_and_nobody_else_comes_in(
    engine: Engine, tmp_path: Path, workers: str
) -> None:
    gateway = start(tmp_path, engine, workers)
    with at_the_engine(gateway, engine) as held:
        gateway.process.send_signal(signal.SIGTERM)
        until(lambda: refused(gateway), "no connection is taken")
        assert gateway.process.poll() is None
        engine.gate.set()
        assert held.result().status_code == 200
    assert gateway.process.wait(SOONER) == 0


@WORKERS
def test_in_the_drain_time_probes_say_so_and_requests_are_still_answered(
    engine: Engine, tmp_path: Path, workers: str
) -> None:
    """Longer than any of it takes: a second signal ends it."""
    gateway = start(tmp_path, engine, workers, GATEWAY_DRAIN_SECONDS="600")
    gateway.process.send_signal(signal.SIGTERM)

    def told() -> bool:
        """Whichever of them is asked; the other may not have heard of it yet."""
        ready = gateway.get("/ready")
        return (ready.status_code, ready.json()["status"]) == (503, "draining")

    until(told, "it is out of rotation")
    assert gateway.ask("ok").status_code == 200
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(60) == 0


@WORKERS
def test_the_drain_time_ends_by_itself(engine: Engine, tmp_path: Path, workers: str) -> None:
    gateway = start(tmp_path, engine, workers, GATEWAY_DRAIN_SECONDS="1")
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(60) == 0


@WORKERS
def test_what_does_not_end_in_its_grace_is_cut_off(engine: Engine, tmp_path: Path, workers: str) -> None:
    gateway = start(tmp_path, engine, workers, GATEWAY_GRACE_SECONDS="1")
    with at_the_engine(gateway, engine) as held:
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(SOONER) == 0
        assert isinstance(held.exception(20), httpx.TransportError) or held.result().status_code >= 500


@WORKERS
def test_a_second_signal_ends_it_sooner(engine: Engine, tmp_path: Path, workers: str) -> None:
    gateway = start(tmp_path, engine, workers)
    with at_the_engine(gateway, engine) as held:
        gateway.process.send_signal(signal.SIGTERM)
        until(lambda: refused(gateway), "it is leaving")
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(SOONER) == 0, "before its grace of 60 s"
        assert held.exception(20) is not None or held.result().status_code >= 500


def test_true_counts_that_are_owed_to_redis_are_brought_before_the_end(
    engine: Engine, redis: RedisServer, tmp_path: Path
) -> None:
    document: dict[str, Any] = direct("ok", engine.url("ok"))
    document["policies"] = {"dev-key": {"tokens_per_minute": 100_000}}
    routes = write_routes(tmp_path / "routes", {"ok": document})
    env = {"GATEWAY_REDIS_URL": redis.url, "GATEWAY_REDIS_DEADLINE_SECONDS": "60"}
    gateway = Gateway(tmp_path, "--routes", str(routes), env=env).wait()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(gateway.ask, "ok", max_tokens=1000) for _ in range(40)]
        assert {answer.result().status_code for answer in answers} == {200}
    assert gateway.stop() == 0
    with redis_client.Redis.from_url(redis.url) as client:
        counted = [client.hget(key, "tokens") for key in client.keys("nexus:limit:*")]
    assert sum(map(int, counted)) == 40 * USAGE["total_tokens"]


def test_true_counts_that_redis_does_not_take_are_told_at_the_end(
    engine: Engine, redis: RedisServer, tmp_path: Path
) -> None:
    document: dict[str, Any] = direct("gated", engine.url("gated"), first_byte_seconds=600)
    document["policies"] = {"dev-key": {"tokens_per_minute": 100_000}}
    routes = write_routes(tmp_path / "routes", {"gated": document})
    env = {"GATEWAY_REDIS_URL": redis.url, "GATEWAY_REDIS_DEADLINE_SECONDS": "60"}
    gateway = Gateway(tmp_path, "--routes", str(routes), env=env).wait()
    with at_the_engine(gateway, engine) as held:
        redis.kill()
        gateway.process.send_signal(signal.SIGTERM)
        engine.gate.set()
        assert held.result().status_code == 200
    assert gateway.process.wait(SOONER) == 0
    assert [line["corrections_lost"] for line in gateway.lines() if line["message"] == "stopped"] == [1]


def test_it_starts_without_redis_issuer_and_engines(tmp_path: Path) -> None:
    port = free_port()
    routes = write_routes(tmp_path / "routes", {"m": direct("m", f"http://127.0.0.1:{port}")})
    env = {
        "GATEWAY_REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "GATEWAY_JWT_JWKS_URL": f"http://127.0.0.1:{port}/keys",
    }
    gateway = Gateway(tmp_path, "--routes", str(routes), env=env).wait()
    assert gateway.get("/ready").status_code == 200
    assert gateway.ask("m").status_code == 502
    assert gateway.stop() == 0


def test_with_few_files_it_may_open_it_refuses_and_recovers(engine: Engine, tmp_path: Path) -> None:
    routes = write_routes(tmp_path / "routes", {"ok": direct("ok", engine.url("ok"))})
    port = free_port()
    log = tmp_path / "gateway.log"
    command = f"ulimit -n 64; exec {BIN / 'nexus-gateway'} serve --port {port} --routes {routes}"
    with log.open("wb") as out:
        process = subprocess.Popen(["bash", "-c", command], stdout=out, stderr=out)
    url = f"http://127.0.0.1:{port}"

    def ask() -> int:
        body = {"model": "ok", "messages": []}
        headers = {"authorization": "Bearer dev-key"}
        try:
            return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=3).status_code
        except httpx.TransportError:
            return 0

    until(lambda: ask() == 200, "it answers")
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    assert process.poll() is None
    for one in held:
        one.close()
    until(lambda: ask() == 200, "it answers again")
    process.terminate()
    assert process.wait(60) == 0
