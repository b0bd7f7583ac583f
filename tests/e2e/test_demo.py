"""The whole loop, as `make demo` runs it, in its short form: real training, registry, remote, engines and gateway."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nexus_release.local.processes import runs
from nexus_release.local.state import read_state

from ..support.followed import AT_THE_DEMO
from ..support.repository import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.train, pytest.mark.services, pytest.mark.timeout(1500)]
BIN = Path(sys.executable).parent
CHAIN = ("dev", "staging", "prod")
HEX = re.compile(r"[0-9a-f]{64}")
STEPS = [
    "validate",
    "fit",
    "train",
    "quantize",
    "inspect",
    "evaluate",
    "describe",
    "register",
    "sign",
    "render",
    "propose",
]


class Demo:
    """A clone of this repository with a state of its own, in which the demo has been run once."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.state = folder / "state"
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", ROOT.as_uri(), self.checkout], check=True)
        self.before = self.listing()
        self.said = self.nexus("demo", "--short")

    def nexus(self, *words: str) -> str:
        environment = {**os.environ, "NEXUS_STATE": str(self.state), "COLUMNS": "160"}
        done = subprocess.run(
            [str(BIN / "nexus"), *words], cwd=self.checkout, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def shell(self, script: str) -> str:
        """What it prints, as a reader's shell in the checkout."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "NEXUS_"))}
        done = subprocess.run(
            ["bash", "-ec", script],
            cwd=self.checkout,
            env={**clean, "NEXUS_STATE": str(self.state), "PATH": f"{BIN}:{clean['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def records(self) -> list[str]:
        return self.git("ls-tree", "-r", "--name-only", "main", "gitops/releases").splitlines()

    def explain(self, what: str) -> dict[str, Any]:
        answer = json.loads(self.nexus("explain", what, "--json"))
        assert isinstance(answer, dict)
        return answer

    def listing(self) -> dict[str, bytes]:
        files = (path for path in self.checkout.rglob("*") if path.is_file() and ".git" not in path.parts)
        return {
            str(path.relative_to(self.checkout)): path.read_bytes() for path in files if "__pycache__" not in str(path)
        }

    def git(self, *words: str) -> str:
        remote = self.state / "remote.git"
        return subprocess.run(
            ["git", "--git-dir", remote, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    def summaries(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.state.glob("runs/*/summary.json"))]


@dataclass(frozen=True)
class Second:
    tree_before: str
    said: str
    gateway: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("demo"))


def test_the_story_ends_well_and_leaves_nothing_running(demo: Demo) -> None:
    state = read_state(demo.state)
    assert state is not None
    assert [mark for mark in (state.supervisor, *state.children) if runs(mark)] == []
    assert "release 2" in demo.said


def test_nothing_is_written_to_the_checkout(demo: Demo) -> None:
    assert demo.listing() == demo.before


def test_two_releases_of_different_data_ran_every_step(demo: Demo) -> None:
    summaries = demo.summaries()
    assert [summary["outcome"] for summary in summaries] == ["done", "done"]
    assert all([step["step"] for step in summary["steps"]] == STEPS for summary in summaries)
    datasets = {summary["steps"][0]["out"]["dataset"] for summary in summaries}
    assert len(datasets) == 2
    refused = [summary["steps"][0]["out"]["refused_rows"] for summary in summaries]
    assert all(count > 0 for count in refused), "real data has rows that break the contract"


def test_main_tells_the_story_in_commits(demo: Demo) -> None:
    log = demo.git("log", "--reverse", "--format=%(trailers:key=Nexus-Change,valueonly,separator=%x20)", "main")
    assert log.split() == ["admit", "admit", "canary", "promote", "rollback", "admit", "admit", "admit"]


def test_the_release_went_through_every_environment_by_the_same_record(demo: Demo) -> None:
    plans = {name: demo.git("show", f"main:environments/{name}/models/pydoc-chat.yaml") for name in CHAIN}
    assert len(set(plans.values())) == 1
    for name in CHAIN:
        assert demo.git("ls-tree", "--name-only", f"main:gitops/{name}/pydoc-chat").splitlines()
    branches = demo.git("for-each-ref", "--format=%(refname:short)").split()
    assert branches == ["main"], "what was proved has landed"
    assert "passed below" in demo.said
    assert "Approvals needed: 2" in demo.said


def test_records_and_registry_agree_with_git(demo: Demo) -> None:
    steps = [step for summary in demo.summaries() for step in summary["steps"] if step["step"] == "register"]
    assert {HEX.findall(name)[0] for name in demo.records()} == {step["out"]["release"] for step in steps}
    assert sorted(step["out"]["version"] for step in steps) == [1, 2]


def test_explain_walks_from_the_model_to_the_dataset(demo: Demo) -> None:
    chain = json.dumps(demo.explain("pydoc-chat"))
    first = next(summary for summary in demo.summaries() if "pydoc-1" in summary["inputs"]["dataset"])
    outs = {step["step"]: step["out"] for step in first["steps"]}
    assert outs["validate"]["dataset"] in chain
    assert outs["register"]["release"] in chain


def test_rollback_gave_back_the_earlier_routes_byte_for_byte(demo: Demo) -> None:
    route = "gitops/local/gateway/routes.d/pydoc-chat.yaml"
    commits = demo.git("log", "--format=%H", "main", "--", route).splitlines()
    texts = [demo.git("show", f"{commit}:{route}") for commit in commits]
    rolled_back, promoted, canary, admitted = texts[:4]
    assert rolled_back == admitted
    assert len({rolled_back, promoted, canary}) == 3


@pytest.fixture(scope="module")
def second(demo: Demo) -> Iterator[Second]:
    """The demo once more, as `make up` runs it: it stays."""
    tree = demo.git("rev-parse", "main^{tree}")
    try:
        yield Second(tree, demo.nexus("demo", "--short", "--stay"), json.loads(demo.nexus("up", "--json"))["gateway"])
    finally:
        demo.nexus("down")


def test_a_second_demo_reuses_what_is_unchanged_and_says_so(demo: Demo, second: Second) -> None:
    assert second.said.count("unchanged, reused") >= 8, "four cacheable steps in each of two releases"
    assert demo.git("rev-parse", "main^{tree}") == second.tree_before


def test_an_agent_can_work_with_what_the_demo_has_made(second: Second) -> None:
    smoke = [sys.executable, str(ROOT / "docs" / "examples" / "python" / "agent_smoke.py"), "pydoc-chat"]
    environment = {**os.environ, "NEXUS_GATEWAY": second.gateway, "NEXUS_GATEWAY_KEY": "dev-key"}
    done = subprocess.run(smoke, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ok ") == 6


@pytest.mark.parametrize("page", AT_THE_DEMO)
def test_what_a_page_has_typed_beside_a_demo_does_what_it_says(page: str, demo: Demo, second: Second) -> None:
    """As it stands there, but for ids and where the gateway is."""
    first_release, second_release = (HEX.findall(path)[0] for path in demo.records())
    bill = json.loads(demo.git("show", f"main:{demo.records()[0]}"))["content"]["bill_of_materials"]
    here = {
        "3b5d2c9e": first_release[:8],
        "9a1f0c44": second_release[:8],
        "http://127.0.0.1:8000": second.gateway,
        ".nexus/": f"{demo.state}/",
        "HEX": bill.removeprefix("sha256:"),
    }
    said = demo.shell(AT_THE_DEMO[page].script(page, here))
    assert [expected for expected in AT_THE_DEMO[page].says if expected not in said] == [], said
