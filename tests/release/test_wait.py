"""`nexus wait`: real gateways of several workers and replicas, and a real remote."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_release.adapters.http_health import HttpHealth
from nexus_release.convergence.seen import Replica as SeenReplica
from nexus_release.convergence.seen import Worker as SeenWorker
from nexus_release.convergence.wait import missing, refuses
from nexus_release.plan import Plan, admitted, promoted, shifted

from ..support.command import Nexus
from ..support.gateway import until
from ..support.releases import make_record, plant_environments
from ..support.remotes import Remote
from ..support.replicas import Replica, replicas
from ..support.worker import Worker

MODEL, ENVIRONMENT = "waited-chat", "staging"
ROUTES = f"gitops/{ENVIRONMENT}/gateway/routes.d"


class World:
    def __init__(self, folder: Path) -> None:
        self.remote = Remote(folder, plant_environments)
        first, self.second = (self.remote.record(make_record(MODEL, seed)) for seed in (1, 2))
        self.plan = admitted(None, MODEL, first)
        self.first = self.land(self.plan)

    def land(self, plan: Plan) -> str:
        return self.remote.plan(plan, environment=ENVIRONMENT)

    def canary(self) -> str:
        """A commit that changes the routes."""
        return self.land(shifted(admitted(self.plan, MODEL, self.second), self.second.release, 20))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def two(world: World, tmp_path: Path) -> Iterator[list[Replica]]:
    """Replicas of two workers each."""
    with replicas(tmp_path, world.remote, ENVIRONMENT, workers=2) as found:
        yield found


@pytest.fixture
def nexus(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nexus:
    for name, value in {
        "NEXUS_STATE": str(tmp_path / "state"),
        "NEXUS_REMOTE": str(world.remote.path),
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "NEXUS_GATEWAY_KEY": "dev-key",
    }.items():
        monkeypatch.setenv(name, value)
    return Nexus(monkeypatch, capsys)


def named(monkeypatch: pytest.MonkeyPatch, found: list[Replica]) -> None:
    monkeypatch.setenv("NEXUS_GATEWAY", ",".join(one.url for one in found))


def wait(nexus: Nexus, *words: str) -> tuple[int, str, str]:
    told = nexus("wait", "--env", ENVIRONMENT, *words)
    return told.status, told.out, told.err


def until_served(nexus: Nexus, *words: str) -> None:
    """What is served needs no waiting. A worker that is too busy to say within its second what it serves is silent."""
    until(lambda: wait(nexus, "--timeout", "0", *words)[0] == 0, "it is served at the first look")


def test_it_waits_until_the_last_worker_of_the_last_replica_serves_it(
    world: World, two: list[Replica], nexus: Nexus, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(monkeypatch, two)
    before = two[0].served()
    until_served(nexus)

    commit = world.canary()
    two[0].follow()
    until(lambda: two[0].served() != before, "the first has followed")

    def late() -> tuple[str, str] | None:
        status, out, err = wait(nexus, "--timeout", "0", "--commit", commit)
        assert status == 1
        named = [line for line in out.splitlines() if line.startswith(two[1].url) and "serves" in line]
        return (out, err) if len(named) == 2 else None

    out, err = until(late, "both workers of the second are named")
    assert f"revision {before.copy().pop()[:12]}" not in out
    assert f"of commit {commit[:12]} is not served by all, and the time is over" in out
    assert "waiting: " in err

    threading.Timer(0.5, two[1].follow).start()
    status, out, _ = wait(nexus, "--timeout", "120", "--commit", commit)
    assert (status, "is served by all 2 replicas" in out) == (0, True)
    assert two[0].served() == two[1].served() != before

    told = json.loads(wait(nexus, "--json", "--revision", two[0].served().pop()[:8])[1])
    assert (told["ending"], told["commit"]) == ("converged", commit)
    assert [len(one["workers"]) for one in told["replicas"]] == [2, 2]


def test_main_is_followed_while_it_moves(
    world: World, two: list[Replica], nexus: Nexus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has named a revision, so what main says at the end is what counts."""
    named(monkeypatch, two)
    world.canary()
    later = promoted(
        shifted(admitted(world.plan, MODEL, world.second), world.second.release, 20), world.second.release, 1
    )

    def move() -> None:
        commit = world.land(later)
        for one in two:
            one.follow(commit)

    threading.Timer(0.5, move).start()
    status, out, _ = wait(nexus, "--timeout", "120")
    assert (status, f"of commit {world.remote.head[:12]}" in out) == (0, True)


def test_a_replica_that_refuses_the_routes_ends_the_waiting_at_once_with_its_reason(
    world: World, two: list[Replica], nexus: Nexus, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(monkeypatch, two)
    bad = json.dumps({"upstreams": {}, "routes": {"bad": {"strategy": "direct", "upstream": "nobody"}}})
    world.remote.commit({f"{ROUTES}/bad.yaml": bad})
    for one in two:
        one.follow()
    until(lambda: all(one.gateway.config()["refusal"] for one in two), "both have refused it")
    status, out, _ = wait(nexus, "--timeout", "600")
    assert status == 1
    assert "and refuses it: " in out
    assert "nobody" in out, "the gateway's own reason"
    assert "is refused; mend the route on main, or roll it back" in out


def test_a_replica_that_is_gone_is_named(
    world: World, two: list[Replica], nexus: Nexus, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(monkeypatch, two)
    two[1].gateway.stop()
    status, out, _ = wait(nexus, "--timeout", "0.5")
    assert status == 1
    assert f"{two[1].url}: it does not say what it serves: it is down" in out
    named(monkeypatch, two[:1])
    until_served(nexus)
    status, out, _ = wait(nexus, "--timeout", "0", "--replicas", "2")
    assert (status, "1 replicas are there, 2 are waited for" in out) == (1, True)


def test_a_headless_service_stands_for_every_replica(
    world: World, two: list[Replica], nexus: Nexus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name's addresses are the machine's to know; here they are made up, and one of them answers."""
    monkeypatch.setattr(socket, "gethostbyname_ex", lambda name: (name, [], ["127.0.0.1", "127.0.0.9"]))
    health = HttpHealth(f"http://nexus-gateway-replicas:{two[0].gateway.port}", "dev-key")

    def whole() -> tuple[SeenReplica, ...] | None:
        found = health.replicas()
        return None if found[0].problem else found

    first, second = until(whole, "both workers say what they serve")
    assert (len(first.workers), bool(second.problem)) == (2, True)


def test_what_main_does_not_say_any_more_is_not_waited_for(
    world: World, two: list[Replica], nexus: Nexus, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(monkeypatch, two)
    old = two[0].served().pop()
    passed = world.canary()
    until_served(nexus, "--revision", old)  # all the same, until somebody follows
    world.land(world.plan)
    world.land(promoted(admitted(world.plan, MODEL, world.second), world.second.release, 1))
    status, out, _ = wait(nexus, "--commit", passed, "--timeout", "600")
    assert status == 1
    assert "main says revision" in out
    assert "is not what main says any more; wait for main's own" in out


def test_what_is_of_no_commit_is_bad_input(world: World, nexus: Nexus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_GATEWAY", "http://127.0.0.1:9")
    for words, said in (
        (("--revision", "0" * 64), "no commit of main gives staging such a revision"),
        (("--revision", "abc"), "give 8 to 64 lower-case hex digits"),
        (("--commit", "0" * 40), "main has no such commit"),
        (("--commit", world.first, "--revision", "0" * 8), "give either"),
    ):
        status, _, err = wait(nexus, *words)
        assert (status, said in err) == (2, True), err
    told = nexus("wait", "--env", "dev")
    assert (told.status, "has no routes there" in told.err) == (2, True)
    told = nexus("wait", "--env", "nowhere")
    assert (told.status, "main has no environments/nowhere/settings.yaml" in told.err) == (2, True)


def test_without_a_gateway_nothing_is_waited_for(nexus: Nexus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEXUS_GATEWAY", raising=False)
    status, _, err = wait(nexus)
    assert (status, "set NEXUS_GATEWAY" in err) == (1, True)


def test_engines_are_waited_for_where_that_is_asked(
    world: World, tmp_path: Path, nexus: Nexus, monkeypatch: pytest.MonkeyPatch
) -> None:
    with replicas(tmp_path, world.remote, ENVIRONMENT, count=1) as (one,):
        named(monkeypatch, [one])
        engines = ("--engines", "--resolve", str(one.resolve))
        status, out, _ = wait(nexus, "--timeout", "0", *engines)
        assert (status, "does not answer at http://" in out) == (1, True)
        with Worker("--engine=mock", f"--served-model-name={MODEL}") as engine:
            (host,) = [line.split("//")[1] for line in out.splitlines() if "does not answer" in line]
            one.resolve.write_text(json.dumps({f"{host}:80": engine.url.removeprefix("http://")}))
            assert wait(nexus, "--timeout", "120", *engines)[0] == 0


def test_aliases_are_waited_for_where_that_is_asked(
    world: World, tmp_path: Path, nexus: Nexus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing answers as the registry, so no alias can be said to hold."""
    with replicas(tmp_path, world.remote, ENVIRONMENT, count=1) as (one,):
        named(monkeypatch, [one])
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        status, out, _ = wait(nexus, "--timeout", "0", "--aliases")
        assert (status, "the registry cannot be held against main" in out) == (1, True)


@pytest.mark.parametrize(
    ("worker", "sentences", "refused"),
    [
        (SeenWorker(pid=1, revision="r"), 0, False),
        (SeenWorker(pid=1, revision="q"), 1, False),
        (SeenWorker(pid=1, revision="q", refused="r", reason="why"), 1, True),
        (SeenWorker(pid=1, revision="r", refused="q", reason="an earlier one"), 0, False),
        (SeenWorker(pid=1, revision="q", refused="p", reason="an earlier one"), 1, False),
    ],
)
def test_only_a_worker_that_refuses_these_bytes_refuses(worker: SeenWorker, sentences: int, refused: bool) -> None:
    found = [SeenReplica(address="http://a", workers=(worker,))]
    assert (len(missing(found, "r", 1)), refuses(found, "r")) == (sentences, refused)
    assert os.linesep not in "".join(missing(found, "r", 1))
