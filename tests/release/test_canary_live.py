"""Bad canaries go back and good ones become stable: real gateways, real traffic, a real Prometheus, a real remote."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from nexus_release.canary.evidence import evidence_folder
from nexus_release.names import model_slug, service_name
from nexus_release.plan import Plan, admitted, read_plan, shifted
from nexus_release.revisions import routes_revision

from ..support.gateway import Gateway, until
from ..support.paced_engine import PacedEngine
from ..support.prometheus_server import Prometheus
from ..support.releases import make_pointer, make_record
from ..support.remotes import Remote, plant_house

pytestmark = pytest.mark.services
Source = Literal["prometheus", "scrapes"]
MODEL = "acme/Llama-4:8B@chat"
NEXUS = Path(sys.executable).parent / "nexus"
STABLE, CANARY = (make_pointer(make_record(MODEL, seed)) for seed in (1, 2))
SETTINGS = """\
landing: merge
runtime: nexus-worker
gpu: {enabled: false}
signatures: {accept: own}
resources: {cpu: "1", memory: 1Gi}
serving: {context_tokens: 1024, concurrency: 8}
canary:
  steps: [30, 50]
  then: promote
  step_seconds: 1
  step_requests: 100
  look_seconds: 2
"""
BATCH = 500


class House:
    """Two gateways that follow the remote's main, in front of an engine for each release."""

    def __init__(self, folder: Path, source: Source) -> None:
        self.folder, self.source = folder, source
        self.remote = Remote(folder, plant_house)
        self.remote.commit({"environments/local/settings.yaml": SETTINGS})
        for seed in (1, 2):
            self.remote.record(make_record(MODEL, seed))
        first = admitted(None, MODEL, STABLE)
        self.remote.plan(first)
        self.remote.plan(admitted(first, MODEL, CANARY))
        self.engines = {pointer.release: PacedEngine(seed).start() for seed, pointer in enumerate((STABLE, CANARY))}
        hosts = {
            f"{service_name(MODEL, release)}-predictor.nexus.svc.cluster.local:80": f"127.0.0.1:{engine.port}"
            for release, engine in self.engines.items()
        }
        (folder / "resolve.json").write_text(json.dumps(hosts))
        self.routes = folder / "routes"
        self.routes.mkdir()
        self.sync()
        flags = ("--routes", str(self.routes), "--resolve", str(folder / "resolve.json"))
        self.gateways = []
        for number in (1, 2):
            (folder / f"g{number}").mkdir()
            self.gateways.append(
                Gateway(folder / f"g{number}", *flags, env={"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "50"})
            )
        for gateway in self.gateways:
            gateway.wait()
        self.prometheus: Prometheus | None = None
        if source == "prometheus":
            targets: dict[int, dict[str, str]] = {gateway.port: {} for gateway in self.gateways}
            self.prometheus = Prometheus(folder, targets)

    def stop(self) -> None:
        for gateway in self.gateways:
            if gateway.process.poll() is None:
                gateway.stop()
        for engine in self.engines.values():
            engine.stop()
        if self.prometheus:
            self.prometheus.stop()

    def sync(self) -> str:
        """As Argo CD does it; returns the revision."""
        self.remote.pull()
        found = {
            path.name: path.read_bytes() for path in (self.remote.clone / "gitops/local/gateway/routes.d").glob("*")
        }
        for name, data in found.items():
            (self.routes / f".{name}").write_bytes(data)
            (self.routes / f".{name}").replace(self.routes / name)
        return routes_revision(found)

    def weigh(self, weight: int) -> None:
        """As a person does it; then it takes more requests than a test has until the canary could go on."""
        self.remote.commit(
            {"environments/local/settings.yaml": SETTINGS.replace("step_requests: 100", "step_requests: 9000")}
        )
        self.remote.plan(shifted(admitted(admitted(None, MODEL, STABLE), MODEL, CANARY), CANARY.release, weight))

    def served(self) -> None:
        revision = self.sync()
        for gateway in self.gateways:
            until(lambda: gateway.config()["revision"] == revision, "main is served", 30)  # noqa: B023 - called at once

    @property
    def plan(self) -> Plan:
        self.remote.pull()
        plan = read_plan(self.remote.clone, "local", MODEL)
        assert plan is not None
        return plan

    def traffic(self) -> None:
        async def ask(client: httpx.AsyncClient, gateway: Gateway, room: asyncio.Semaphore) -> None:
            body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
            async with room:
                answer = await client.post(f"{gateway.url}/v1/chat/completions", json=body)
                assert answer.status_code == 200, "a failing canary is made good by the stable release"

        async def all_of_them() -> None:
            room, alive = asyncio.Semaphore(64), [one for one in self.gateways if one.process.poll() is None]
            headers = {"authorization": "Bearer dev-key"}
            async with httpx.AsyncClient(headers=headers, timeout=30, verify=False) as client:  # noqa: S501 - plain HTTP
                await asyncio.gather(*(ask(client, alive[number % len(alive)], room) for number in range(BATCH)))

        asyncio.run(all_of_them())

    def step(self, *words: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "NEXUS_REMOTE": str(self.remote.path), "NEXUS_STATE": str(self.folder / "state")}
        if self.source == "prometheus":
            env["NEXUS_PROMETHEUS"] = self.prometheus.url if self.prometheus else "http://127.0.0.1:9"
        else:
            env["NEXUS_GATEWAY"] = ",".join(gateway.url for gateway in self.gateways)
        return subprocess.run(
            [NEXUS, "canary", "step", MODEL, "--json", *words], env=env, cwd=self.folder, capture_output=True, text=True
        )

    def decision(self) -> dict[str, Any]:
        done = self.step()
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def walked(self, seconds: float = 600) -> list[dict[str, Any]]:
        """Traffic and steps in turn until the canary is stable, or back at 0; what each step told."""
        deadline, told = time.monotonic() + seconds, list[dict[str, Any]]()
        if not (canary := self.plan.canary) or not canary.weight or self.source == "scrapes":
            told.append(self.decision())  # it begins; or counting does
        while (canary := self.plan.canary) and canary.weight:
            assert time.monotonic() < deadline, [one["decision"] for one in told]
            self.served()
            self.traffic()
            told.append(self.decision())
        return told


@pytest.fixture
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    built = House(tmp_path, request.param)
    yield built
    built.stop()


both = pytest.mark.parametrize("house", ["prometheus", "scrapes"], indirect=True)


def actions(told: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Weight and what was decided there, without what was held."""
    return [(one["weight"], one["decision"]["action"]) for one in told if one["decision"]["action"] != "hold"]


def guilty(told: dict[str, Any]) -> set[str]:
    return {one["metric"] for one in told["tests"] if one["guilty"]}


@both
def test_a_good_canary_walks_all_steps_and_becomes_stable(house: House) -> None:
    told = house.walked()
    assert actions(told) == [(0, "advance"), (30, "advance"), (50, "promote")]
    assert {one["source"] for one in told[1:]} == {house.source}
    assert house.plan == Plan(model=MODEL, stable=CANARY, retained=(STABLE,))
    assert len(house.remote.files(evidence_folder("local", MODEL))) == 3


@both
def test_a_canary_whose_first_tokens_come_30_percent_later_goes_back(house: House) -> None:
    house.weigh(30)
    house.engines[CANARY.release].slower = 1.3
    told = house.walked()
    assert actions(told) == [(30, "revert")]
    assert "first_byte" in guilty(told[-1])
    assert "first_byte" in house.remote.subjects()[0]
    assert f"{model_slug(MODEL)}/" in told[-1]["evidence"]


@both
def test_a_canary_that_fails_2_percent_goes_back_though_no_client_has_seen_it(house: House) -> None:
    house.weigh(30)
    house.engines[CANARY.release].errors = 0.02
    told = house.walked()
    assert actions(told) == [(30, "revert")]
    assert guilty(told[-1]) == {"errors"}


@pytest.mark.parametrize("house", ["scrapes"], indirect=True)
def test_a_gateway_that_restarts_and_one_that_vanishes_leave_what_they_have_counted(house: House) -> None:
    house.weigh(30)
    house.served()
    assert house.decision()["decision"]["action"] == "hold", "the first look only begins to count"
    house.traffic()
    before = house.decision()
    again = house.gateways[0]
    again.stop()
    house.traffic()
    lost = house.decision()
    assert lost["notes"] == ["1 of 2 gateways did not answer"]
    assert _requests(lost) >= _requests(before) > 0


def _requests(told: dict[str, Any]) -> int:
    """Of the canary, as the reason counts them."""
    return int(told["decision"]["reason"].split(" of ")[0])


@pytest.mark.parametrize("house", ["prometheus"], indirect=True)
def test_without_prometheus_the_weight_stays_and_the_command_says_why(house: House) -> None:
    house.weigh(30)
    before = house.remote.head
    assert house.prometheus is not None
    house.prometheus.stop()
    done = house.step()
    assert done.returncode == 1
    assert "the weight stays at 30 %: no figures of Prometheus" in done.stderr
    assert house.remote.head == before
