"""Three Redis pods by their rendered scripts, on loopback addresses of their own: one leads, it is killed, another
leads, and a real gateway goes on counting and knows the answers that it kept."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis as client

from nexus_gateway.redis_address import read_group
from nexus_release.manifests.redis import redis

from ..support.cluster_settings import settings_of
from ..support.gateway import PLAIN, Gateway, direct, until, write_routes
from ..support.redis_server import kept

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

PASSWORD = "made-up-password"
HOSTS = ("127.0.71.1", "127.0.71.2", "127.0.71.3")
URL = f"redis+sentinel://:{PASSWORD}@{HOSTS[0]}:26379,{HOSTS[1]}:26379,{HOSTS[2]}:26379/nexus/0"
PATIENCE = 150.0
"""Seconds. A Sentinel that finds its clock to have jumped, as where the machine stood still, does nothing for 30."""


class Pod:
    """The containers of one pod of the StatefulSet, as processes that listen on its address alone."""

    def __init__(self, number: int, root: Path) -> None:
        self.host, self._folder = HOSTS[number], root / f"nexus-redis-{number}"
        objects = redis(settings_of("prod", {"redis": {"mode": "sentinel"}}))
        stateful: Any = objects["statefulset.yaml"]
        config: Any = objects["configmap.yaml"]
        self._containers = stateful["spec"]["template"]["spec"]["containers"]
        for container in self._containers:
            for mount in container["volumeMounts"]:
                Path(self._here(mount["mountPath"])).mkdir(parents=True, exist_ok=True)
        for name, text in config["data"].items():
            Path(self._here("/etc/redis/nexus"), name).write_text(self._here(text))
        auth = f"requirepass {PASSWORD}\nmasterauth {PASSWORD}\n"
        Path(self._here("/etc/redis/auth/auth.conf")).write_text(auth)
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        told = {"NODES": " ".join(HOSTS), "HOSTNAME": self._folder.name, "PATH": os.environ["PATH"]}
        for container in self._containers:
            log = (self._folder / f"{container['name']}.log").open("ab")
            words = [self._here(word) for word in container["command"]]
            self._processes.append(subprocess.Popen(words, env=told, stdout=log, stderr=log))
            log.close()

    def kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait(10)
        self._processes.clear()

    def leader(self) -> str | None:
        """As its Sentinel says."""
        try:
            with client.Redis(self.host, 26379, password=PASSWORD, decode_responses=True) as asked:
                found = asked.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "nexus")
        except client.RedisError:
            return None
        return str(found[0]) if found else None

    def info(self, section: str) -> dict[str, Any]:
        try:
            with client.Redis(self.host, 6379, password=PASSWORD) as asked:
                found: dict[str, Any] = asked.info(section)
                return found
        except client.RedisError:
            return {}

    def knows(self, what: str) -> int:
        """How many `slaves` or other `sentinels` its Sentinel knows."""
        try:
            with client.Redis(self.host, 26379, password=PASSWORD) as asked:
                return len(asked.execute_command("SENTINEL", what.upper(), "nexus"))
        except client.RedisError:
            return 0

    def _here(self, text: str) -> str:
        """On this machine: its folders, and its address, since three cannot have one port of all addresses."""
        for folder in ("/etc/redis", "/data", "/run/sentinel"):
            text = text.replace(folder, f"{self._folder}{folder}")
        for port in ("6379", "26379"):
            text = text.replace(f"port {port}\ndir", f"port {port}\nbind {self.host}\ndir")
        return text


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[list[Pod]]:
    found = [Pod(number, tmp_path) for number in range(3)]
    for one in found:
        one.start()
    yield found
    for one in found:
        one.kill()


def ask(gateway: Gateway, key: str) -> httpx.Response:
    """An answer that Redis has kept. It has a second to answer the gateway, which no busy machine promises."""
    found: httpx.Response = until(
        lambda: kept(gateway.ask(headers={"idempotency-key": key})), "the gateway takes keys", PATIENCE
    )
    return found


def shared(gateway: Gateway) -> bool:
    text = httpx.get(f"{gateway.url}/metrics", timeout=30, verify=PLAIN).text
    return "gateway_limiter_shared 1.0" in text.splitlines()


def test_when_the_leader_is_killed_another_leads_and_the_gateway_follows(pods: list[Pod], tmp_path: Path) -> None:
    until(lambda: all(pod.leader() == HOSTS[0] for pod in pods), "the first leads", PATIENCE)
    until(
        lambda: all((pod.knows("slaves"), pod.knows("sentinels")) == (2, 2) for pod in pods), "all know all", PATIENCE
    )
    write_routes(tmp_path / "routes", {"chat": direct("chat", "mock://local")})
    gateway = Gateway(tmp_path, "--routes", str(tmp_path / "routes"), env={"GATEWAY_REDIS_URL": URL}).wait()
    try:
        first = ask(gateway, "once")
        offset = until(lambda: pods[0].info("replication").get("master_repl_offset"), "the leader has kept it")
        until(
            lambda: all(pod.info("replication").get("slave_repl_offset", 0) >= offset for pod in pods[1:]),
            "the followers have what it keeps",
        )

        pods[0].kill()
        host = until(lambda: (now := pods[1].leader()) in HOSTS[1:] and now, "another leads", PATIENCE)
        leading = next(pod for pod in pods if pod.host == host)
        until(lambda: leading.info("replication").get("role") == "master", "it knows so", PATIENCE)
        ask(gateway, "another")
        until(lambda: shared(gateway), "and counts with all others")
        again = ask(gateway, "once")
        assert again.content == first.content

        pods[0].start()
        back = until(
            lambda: (now := pods[0].info("replication")).get("role") == "slave" and now, "it follows", PATIENCE
        )
        assert back["master_host"] == leading.host
    finally:
        gateway.stop()


def test_redis_takes_nobody_without_the_password(pods: list[Pod]) -> None:
    until(lambda: pods[0].leader() == HOSTS[0], "it answers", PATIENCE)
    for port in (6379, 26379):
        with pytest.raises(client.AuthenticationError), client.Redis(HOSTS[0], port) as asked:
            asked.ping()


@pytest.mark.parametrize(
    ("url", "sentinels", "name", "database", "password"),
    [
        ("redis+sentinel://:s%40t@a:1,b/nexus/2", (("a", 1), ("b", 26379)), "nexus", 2, "s@t"),
        ("redis+sentinel://nexus-redis:26379/nexus", (("nexus-redis", 26379),), "nexus", 0, None),
    ],
)
def test_a_group_is_read_from_its_url(
    url: str, sentinels: tuple[tuple[str, int], ...], name: str, database: int, password: str | None
) -> None:
    group = read_group(url)
    assert (group.sentinels, group.name, group.database, group.password) == (sentinels, name, database, password)
    assert "s@t" not in repr(group)


@pytest.mark.parametrize("rest", ["", "a:26379", "a:26379/", "a:x/nexus", ":26379/nexus", "a/nexus/zero", "a,/nexus"])
def test_a_url_of_no_group_stops_the_start_and_tells_no_password(rest: str, tmp_path: Path) -> None:
    write_routes(tmp_path / "routes", {"chat": direct("chat", "mock://local")})
    url = f"redis+sentinel://:{PASSWORD}@{rest}"
    gateway = Gateway(tmp_path, "--routes", str(tmp_path / "routes"), env={"GATEWAY_REDIS_URL": url})
    assert gateway.process.wait(60) == 2
    told = gateway.log.read_text()
    assert "GATEWAY_REDIS_URL" in told
    assert PASSWORD not in told
