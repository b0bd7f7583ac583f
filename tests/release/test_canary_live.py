"""A bad canary goes back and a good one goes on: two real gateways, real traffic, a real Prometheus, a real remote."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from nexus_release.canary.evidence import Evidence, decided_again, parse_evidence
from nexus_release.local.free_ports import free_port
from nexus_release.names import service_name
from nexus_release.plan import read_plan, shifted
from nexus_release.revisions import routes_revision

from ..support.canary_walk import ENTERED, MODEL, ONE, TWO, plant_canary
from ..support.gateway import PLAIN, Gateway, until
from ..support.paced_engine import PacedEngine
from ..support.prometheus_server import Prometheus, prometheus_program
from ..support.remotes import Remote

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]
NEXUS = Path(sys.executable).parent / "nexus"
PATIENCE = 300.0
"""Seconds, of a machine that has much else to do; a test that waits so long has failed."""
BATCH, AT_ONCE, BATCHES = 400, 32, 25
"""Requests of a batch, those at once, and batches until a decision is overdue: several times what it takes."""
ENOUGH, TOO_MANY = 100, 100_000
"""Requests of the canary until it may go on: soon, and never."""
SETTINGS = """\
landing: merge
runtime: nexus-worker
gpu: {{enabled: false}}
signatures: {{accept: own}}
resources: {{cpu: "1", memory: 1Gi}}
serving: {{context_tokens: 1024, concurrency: 8}}
canary: {{steps: [30, 50], step_seconds: 1, step_requests: {requests}, look_seconds: 2}}
"""


class World:
    """Two gateways in front of an engine for each release, and a Prometheus that scrapes them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.routes = folder, folder / "routes"
        self.planted = plant_canary(folder)
        self.stable, self.canary = (PacedEngine(seed).start() for seed in (1, 2))
        engines = {ONE.release: self.stable, TWO.release: self.canary}
        (folder / "resolve.json").write_text(
            json.dumps(
                {
                    f"{service_name(MODEL, release)}-predictor.nexus.svc.cluster.local:80": f"127.0.0.1:{engine.port}"
                    for release, engine in engines.items()
                }
            )
        )
        self.routes.mkdir()
        self._written(self.planted)
        self.gateways = [self._gateway(number) for number in (1, 2)]
        for gateway in self.gateways:
            gateway.wait(PATIENCE)
        self.prometheus = Prometheus(folder, {gateway.port: {} for gateway in self.gateways})
        self.asked = 0

    def stop(self) -> None:
        self.prometheus.stop()
        for gateway in self.gateways:
            gateway.stop()
        for engine in (self.stable, self.canary):
            engine.stop()

    def serve(self, remote: Remote) -> None:
        """What main says, as Argo CD brings it."""
        revision = self._written(remote)
        for gateway in self.gateways:
            until(lambda: gateway.config()["revision"] == revision, "main is served", PATIENCE)  # noqa: B023 - called at once

    def traffic(self) -> None:
        """A batch over both gateways, which Prometheus has seen when this returns."""
        asyncio.run(self._batch())
        self.asked += BATCH
        counted = f'sum(gateway_drawn_requests_total{{route="{MODEL}"}})'
        until(lambda: self.prometheus.query(counted) == [self.asked], "Prometheus has seen all", PATIENCE)

    async def _batch(self) -> None:
        room, body = asyncio.Semaphore(AT_ONCE), {"messages": [{"role": "user", "content": "hello"}]}

        async def ask(client: httpx.AsyncClient, gateway: Gateway) -> None:
            async with room:
                answer = await client.post(
                    f"{gateway.url}/v1/chat/completions", json={"model": MODEL, "stream": True, **body}
                )
            assert answer.status_code == 200, "what the canary fails is made good by the stable release"

        headers = {"authorization": "Bearer dev-key"}
        async with httpx.AsyncClient(headers=headers, timeout=PATIENCE, verify=PLAIN) as client:
            await asyncio.gather(*(ask(client, self.gateways[number % 2]) for number in range(BATCH)))

    def _gateway(self, number: int) -> Gateway:
        folder = self.folder / f"gateway-{number}"
        folder.mkdir()
        flags = ("--routes", str(self.routes), "--resolve", str(self.folder / "resolve.json"))
        return Gateway(folder, *flags, env={"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "50"})

    def _written(self, remote: Remote) -> str:
        """The revision of main's route files, which are put where the gateways read."""
        remote.pull()
        files = (remote.clone / "gitops/local/gateway/routes.d").iterdir()
        found = {path.name: path.read_bytes() for path in files}
        for name, data in found.items():
            (self.routes / f".{name}").write_bytes(data)
            (self.routes / f".{name}").replace(self.routes / name)
        return routes_revision(found)


class Canary:
    """On a remote of its own, stepped by the figures that `source` names."""

    def __init__(self, world: World, folder: Path, source: Mapping[str, str], requests: int) -> None:
        """`requests` of the canary are the least at a step."""
        self.world, self.folder = world, folder
        self.remote = Remote.copied(world.planted, folder)
        self.remote.commit({"environments/local/settings.yaml": SETTINGS.format(requests=requests)})
        self.remote.plan(ENTERED)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NEXUS_")}
        self.env = {**kept, "NEXUS_REMOTE": str(self.remote.path), "NEXUS_STATE": str(folder / "state"), **source}

    def weigh(self, weight: int) -> None:
        """As a person does it."""
        self.remote.plan(shifted(ENTERED, TWO.release, weight))

    def step(self) -> subprocess.CompletedProcess[str]:
        words = [NEXUS, "canary", "step", MODEL, "--json"]
        return subprocess.run(words, env=self.env, cwd=self.folder, capture_output=True, text=True)

    def told(self) -> dict[str, Any]:
        return told_by(self.step())

    def decided(self) -> Evidence:
        """Of the first step that does not hold, with traffic before each; as it lies on main."""
        self.world.serve(self.remote)
        looks = 0
        while looks < BATCHES:
            self.world.traffic()
            done = self.step()
            if "Prometheus has no figures of the gateways since then" in done.stderr:
                continue  # it has not scraped yet
            looks, told = looks + 1, told_by(done)
            if path := told["evidence"]:
                return parse_evidence(self.remote.file(path), path)
        pytest.fail(f"it holds after {BATCHES * BATCH} requests: {told}")

    @property
    def weight(self) -> int:
        self.remote.pull()
        plan = read_plan(self.remote.clone, "local", MODEL)
        assert plan is not None
        assert plan.canary is not None
        return plan.canary.weight


def told_by(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture(scope="module")
def one_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    prometheus_program()
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.stop()


@pytest.fixture
def world(one_world: World) -> World:
    """Whose engines are well."""
    one_world.canary.slower, one_world.canary.errors = 1.0, 0.0
    return one_world


def by_prometheus(world: World) -> dict[str, str]:
    return {"NEXUS_PROMETHEUS": world.prometheus.url}


def guilty(evidence: Evidence) -> set[str]:
    return {one.metric for one in evidence.tests if one.guilty}


def test_by_prometheus_a_good_canary_goes_on(world: World, tmp_path: Path) -> None:
    canary = Canary(world, tmp_path, by_prometheus(world), ENOUGH)
    begun = canary.told()
    assert (begun["decision"]["reason"], canary.weight) == ("it begins", 30)
    evidence = canary.decided()
    assert (evidence.source, evidence.decision.action, canary.weight) == ("prometheus", "advance", 50)
    assert sum(block.canary.requests for block in evidence.blocks) >= ENOUGH
    assert decided_again(evidence, []) == (evidence.tests, evidence.decision)


def test_by_prometheus_a_canary_whose_first_tokens_come_30_percent_later_goes_back(
    world: World, tmp_path: Path
) -> None:
    """The 99th percentile and every other one."""
    canary = Canary(world, tmp_path, by_prometheus(world), TOO_MANY)
    canary.weigh(30)
    world.canary.slower = 1.3
    evidence = canary.decided()
    assert (evidence.source, evidence.decision.action, canary.weight) == ("prometheus", "revert", 0)
    assert "first_byte" in guilty(evidence)
    assert decided_again(evidence, []) == (evidence.tests, evidence.decision)


def test_by_scrapes_a_canary_that_fails_2_percent_goes_back_though_no_client_has_seen_it(
    world: World, tmp_path: Path
) -> None:
    every = ",".join(gateway.url for gateway in world.gateways)
    canary = Canary(world, tmp_path, {"NEXUS_GATEWAY": every}, TOO_MANY)
    canary.weigh(30)
    world.serve(canary.remote)
    assert canary.told()["decision"]["reason"].startswith("0 of "), "the first look only begins to count"
    world.canary.errors = 0.02
    evidence = canary.decided()
    assert (evidence.source, evidence.decision.action, canary.weight) == ("scrapes", "revert", 0)
    assert guilty(evidence) == {"errors"}
    assert decided_again(evidence, []) == (evidence.tests, evidence.decision)


def test_without_prometheus_the_weight_stays_and_the_command_says_why(world: World, tmp_path: Path) -> None:
    canary = Canary(world, tmp_path, {"NEXUS_PROMETHEUS": f"http://127.0.0.1:{free_port()}"}, ENOUGH)
    canary.weigh(30)
    before = canary.remote.refs()
    done = until(lambda: (one := canary.step()).returncode and one, "a block is over, and is asked for", PATIENCE)
    assert done.returncode == 1
    assert "the weight stays at 30 %: no figures of Prometheus" in done.stderr
    assert (canary.remote.refs(), canary.weight) == (before, 30)
