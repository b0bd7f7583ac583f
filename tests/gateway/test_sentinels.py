"""Sentinels that do not answer: who leads is learned from the others, in the time of one request."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from nexus_release.local.free_ports import free_port

from ..support.gateway import Gateway, direct, until, write_routes
from ..support.redis_server import RedisServer


class SentinelServer:
    """A real Sentinel that watches one Redis."""

    def __init__(self, folder: Path, leader: RedisServer) -> None:
        self.port = free_port()
        config = folder / f"sentinel-{self.port}.conf"
        config.write_text(f"port {self.port}\nbind 127.0.0.1\nsentinel monitor nexus 127.0.0.1 {leader.port} 1\n")
        with (folder / "sentinel.log").open("ab") as log:
            self._process = subprocess.Popen(["redis-server", config, "--sentinel"], cwd=folder, stdout=log)
        until(self._answers, "the Sentinel answers")

    def stall(self) -> None:
        """It takes connections and says nothing, as a host that is gone."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port) as client:
                return bool(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "nexus"))
        except redis.RedisError:
            return False


@pytest.fixture
def leader(tmp_path: Path) -> Iterator[RedisServer]:
    running = RedisServer(tmp_path).start()
    yield running
    running.kill()


@pytest.fixture
def sentinels(tmp_path: Path, leader: RedisServer) -> Iterator[list[SentinelServer]]:
    running = [SentinelServer(tmp_path, leader) for _ in range(3)]
    yield running
    for one in running:
        one.kill()


def test_sentinels_that_are_silent_keep_nobody_from_the_leader(
    tmp_path: Path, leader: RedisServer, sentinels: list[SentinelServer]
) -> None:
    places = ",".join(f"127.0.0.1:{one.port}" for one in sentinels)
    env = {"GATEWAY_REDIS_URL": f"redis+sentinel://{places}/nexus/0"}
    policy = {"policies": {"dev-key": {"requests_per_minute": 1000}}}
    routes = write_routes(tmp_path / "routes", {"chat": direct("chat", "mock://local"), "_policies": policy})
    gateway = Gateway(tmp_path, "--routes", str(routes), env=env).wait()

    def counted() -> bool:
        return gateway.ask().status_code == 200 and bool(leader.keys())

    try:
        until(counted, "requests are counted in Redis")
        for one in sentinels[:2]:
            one.stall()
        with redis.Redis(port=leader.port) as client:
            client.flushall()
            client.client_kill_filter(_type="normal", skipme=True)
        until(counted, "the connection that was lost is made again, and requests are counted in Redis")
    finally:
        gateway.stop()
