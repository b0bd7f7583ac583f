"""`nexus mirror` beside a cluster: real gateway, engine, registry and Git, and no `nexus up`."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from nexus_release.adapters.http_health import HttpHealth
from nexus_release.config import load_settings
from nexus_release.errors import Unreachable
from nexus_release.plan import admitted, promoted

from ..support.command import Nexus
from ..support.gateway import Gateway, direct, until, write_routes
from ..support.mirrored import Mirrored
from ..support.worker import Worker

pytestmark = pytest.mark.services
MODEL = "served-chat"
ENVIRONMENT = "staging"


@pytest.fixture
def world(tmp_path: Path, mlflow_server: str) -> Mirrored:
    return Mirrored(tmp_path, mlflow_server, MODEL)


@pytest.fixture
def engine() -> Iterator[Worker]:
    with Worker("--engine=mock", f"--served-model-name={MODEL}") as worker:
        yield worker


class Cluster:
    """What Argo CD and KServe would have brought up: the routes of a commit, and where its engines are."""

    def __init__(self, folder: Path, world: Mirrored) -> None:
        self.routes, self.resolve = folder / "routes.d", folder / "resolve.json"
        self.routes.mkdir()
        self.resolve.write_text("{}")
        self._world = world
        self.follow()
        self.gateway = Gateway(folder, "--routes", str(self.routes), "--resolve", str(self.resolve))

    def follow(self) -> None:
        """The gateway's mounted folder gets what main has rendered."""
        for path, data in self._world.remote.files(f"gitops/{ENVIRONMENT}/gateway/routes.d").items():
            (self.routes / Path(path).name).write_bytes(data)

    def run(self, service: str, engine: str) -> None:
        settings = load_settings(self._world.remote.clone, ENVIRONMENT)
        host = f"{service}-predictor.{settings.namespace}.{settings.domain}:80"
        table = json.loads(self.resolve.read_text()) | {host: engine.removeprefix("http://")}
        self.resolve.write_text(json.dumps(table))


@pytest.fixture
def nexus(
    world: Mirrored,
    tmp_path: Path,
    mlflow_server: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Nexus:
    for name, value in {
        "NEXUS_STATE": str(tmp_path / "state"),
        "NEXUS_REMOTE": str(world.remote.path),
        "MLFLOW_TRACKING_URI": mlflow_server,
        "NEXUS_GATEWAY_KEY": "dev-key",
    }.items():
        monkeypatch.setenv(name, value)
    return Nexus(monkeypatch, capsys)


def test_the_aliases_of_an_environment_follow_what_its_gateway_and_engines_say(
    world: Mirrored, engine: Worker, nexus: Nexus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = world.release(1), world.release(2)
    stable = admitted(None, MODEL, first)
    world.remote.plan(stable, environment=ENVIRONMENT)
    cluster = Cluster(tmp_path, world)
    try:
        cluster.gateway.wait()
        monkeypatch.setenv("NEXUS_GATEWAY", cluster.gateway.url)
        mirror = ("mirror", "--env", ENVIRONMENT, "--resolve", str(cluster.resolve))

        waits = nexus(*mirror)
        assert waits.status == 0
        assert "its engine does not answer at http://" in waits.out
        assert nexus(*mirror, "--wait", "0.1").status == 1
        assert world.aliases() == {}

        cluster.run(world.service(first), engine.url)
        assert f"moved     {MODEL}@{ENVIRONMENT}  version 1" in nexus(*mirror).out
        assert world.aliases() == {ENVIRONMENT: 1}

        cluster.run(world.service(second), engine.url)
        world.remote.plan(promoted(admitted(stable, MODEL, second), second.release, 1), environment=ENVIRONMENT)
        assert "the gateway still serves commit" in nexus(*mirror).out
        assert world.aliases() == {ENVIRONMENT: 1}

        served = cluster.gateway.config()["revision"]
        cluster.follow()
        until(lambda: cluster.gateway.config()["revision"] != served, "the gateway has followed")
        told = json.loads(nexus(*mirror, "--json").out)
        assert [one["done"] for one in told["aliases"]] == ["moved"]
        assert world.aliases() == {ENVIRONMENT: 2}
        assert nexus("mirror", "--env", ENVIRONMENT, "--check").out.endswith(
            f"1 aliases of {ENVIRONMENT} say what Git says\n"
        )
    finally:
        cluster.gateway.stop()


def test_a_gateway_that_refuses_the_key_is_said_by_its_variable(tmp_path: Path, world: Mirrored) -> None:
    world.remote.plan(admitted(None, MODEL, world.release(1)), environment=ENVIRONMENT)
    cluster = Cluster(tmp_path, world)
    try:
        cluster.gateway.wait()
        assert len(HttpHealth(cluster.gateway.url, "dev-key").revisions()) == 1
        with pytest.raises(Unreachable, match="NEXUS_GATEWAY_KEY is no key with the scope admin"):
            HttpHealth(cluster.gateway.url, "wrong").revisions()
    finally:
        cluster.gateway.stop()


def test_a_worker_that_does_not_say_what_it_serves_holds_every_alias(tmp_path: Path) -> None:
    """It may hang on the routes of before, and still answer some of the traffic by them."""
    routes = write_routes(tmp_path / "routes", {"chat": direct("chat", "mock://local")})
    gateway = Gateway(tmp_path, "--routes", str(routes), "--workers", "2").wait()
    health = HttpHealth(gateway.url, "dev-key")

    def served() -> frozenset[str] | None:
        """None where one is too busy to say so within its second."""
        with suppress(Unreachable):
            return health.revisions()
        return None

    until(lambda: len(gateway.config()["workers"]) == 2, "both answer")
    assert len(until(served, "both say what they serve")) == 1
    victim = gateway.config()["workers"][0]["pid"]
    os.kill(victim, signal.SIGSTOP)
    try:
        # Where the one that hangs is itself asked, it says nothing at all, and nothing is believed either.
        until(lambda: "1 of its workers do not say what they serve" in _refusal(health), "the silent one is named")
    finally:
        os.kill(victim, signal.SIGCONT)
    assert gateway.stop() == 0


def _refusal(health: HttpHealth) -> str:
    with pytest.raises(Unreachable) as refused:
        health.revisions()
    return str(refused.value)


def test_a_gateway_whose_name_nobody_knows_is_unreachable() -> None:
    with pytest.raises(Unreachable, match=r"http://gateway\.invalid:8000: its name leads nowhere"):
        HttpHealth("http://gateway.invalid:8000", "k").revisions()
