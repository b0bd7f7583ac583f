"""`nexus canary step` that is killed at what it does to the remote, and run again: one step, once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nexus_release.monitoring.windows import moment
from nexus_release.plan import read_plan, shifted

from ..support.canary_walk import ENTERED, MODEL, ONE, TWO, plant_canary
from ..support.remotes import Remote
from ..support.repository import ROOT
from ..support.web import Reply, serve

pytestmark = pytest.mark.timeout(300)
NEXUS = Path(sys.executable).parent / "nexus"
SETTINGS = """\
landing: merge
runtime: nexus-worker
gpu: {enabled: false}
signatures: {accept: own}
resources: {cpu: "1", memory: 1Gi}
serving: {context_tokens: 1024, concurrency: 8}
canary: {steps: [30, 50, 70], step_seconds: 1, step_requests: 100, look_seconds: 1}
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    remote = plant_canary(tmp_path_factory.mktemp("planted"))
    remote.commit({"environments/local/settings.yaml": SETTINGS})
    remote.plan(shifted(ENTERED, TWO.release, 30))
    return remote


@dataclass
class Counted:
    """A gateway's counters: so many requests of each release, all of them well."""

    requests: int = 0

    def page(self) -> bytes:
        name = "gateway_drawn_requests_total"
        lines = [
            f'{name}{{call="200",release="{one.release}",route="{MODEL}"}} {self.requests}.0' for one in (ONE, TWO)
        ]
        return "\n".join([*lines, ""]).encode()


class Bot:
    """Runs the command by the counters of a gateway that we make up; its first step that may die does so at `kill`."""

    def __init__(self, folder: Path, remote: Remote, gateway: str, kill: str) -> None:
        self.folder, self.remote = folder, remote
        self.schedule = folder / "schedule.json"
        self.schedule.write_text(json.dumps({"world": str(folder), "kills": {"canary": [kill]}}))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NEXUS_")}
        told = {"NEXUS_REMOTE": str(remote.path), "NEXUS_GATEWAY": gateway, "NEXUS_STATE": str(folder / "state")}
        self.env = {**kept, **told, "PYTHONPATH": str(ROOT)}

    def step(self, *, may_die: bool = True) -> subprocess.CompletedProcess[str]:
        dying = [sys.executable, "-m", "tests.chaos.dying_nexus", str(self.schedule)]
        program = dying if may_die else [str(NEXUS)]
        words = [*program, "canary", "step", MODEL, "--json"]
        return subprocess.run(words, env=self.env, cwd=self.folder, capture_output=True, text=True)

    def action(self, *, may_die: bool = True) -> str:
        done = self.step(may_die=may_die)
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["decision"]["action"])

    def next_second(self) -> None:
        """A quick machine would look again within the second of the last look, in which nothing new is counted."""
        (looks,) = (self.folder / "state").rglob("looks.json")
        last = moment(json.loads(looks.read_bytes())["at"])
        while datetime.now(UTC) < last + timedelta(seconds=1):
            time.sleep(0.01)

    @property
    def weight(self) -> int:
        self.remote.pull()
        plan = read_plan(self.remote.clone, "local", MODEL)
        assert plan is not None
        assert plan.canary is not None
        return plan.canary.weight


@pytest.mark.parametrize(
    ("kill", "then"),
    [
        (r"os\.rename state/.*looks\.json", "advance"),
        (r"git push main", "advance"),
        (r"git push branch away", "hold"),
    ],
)
def test_a_step_that_dies_and_is_run_again_moves_the_canary_once(
    planted: Remote, tmp_path: Path, kill: str, then: str
) -> None:
    """Where main has it already, the next run finds nothing to do: it counts from that commit on."""
    remote, counted = Remote.copied(planted, tmp_path), Counted()
    before = remote.head
    with serve(lambda _: Reply(counted.page())) as gateway:
        bot = Bot(tmp_path, remote, gateway.url, kill)
        assert bot.action(may_die=False) == "hold", "counting begins"
        counted.requests += 1000
        bot.next_second()
        assert bot.step().returncode == -signal.SIGKILL
        died = (tmp_path / "tries/canary-0").read_text().splitlines()[-1]
        assert re.match(kill, died), died
        assert bot.action() == then
        assert (bot.weight, remote.git("rev-parse", "main~1")) == (50, before)
        assert len(remote.files("gitops/evidence")) == 1
        assert bot.action() == "hold"
        counted.requests += 1000
        bot.next_second()
        assert bot.action() == "advance", "whatever the dead one has left behind"
    assert (bot.weight, remote.refs().keys(), len(remote.files("gitops/evidence"))) == (70, {"main"}, 2)
