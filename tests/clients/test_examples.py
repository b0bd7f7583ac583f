"""The programs of docs/examples, by the commands of their page, against a release that a laptop's cluster serves."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nexus_release.plan import admitted

from ..support.client import NODE_MODULES, PYTHON, installed
from ..support.gateway import Gateway
from ..support.grpc_engine import GrpcEngine
from ..support.laptop import MODEL, Laptop, NotedRegistry, cluster_of
from ..support.repository import ROOT
from ..support.worker import Worker

EXAMPLES = ROOT / "docs" / "examples"
BLOCKS = re.findall(r"```sh\n(.*?)```", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.DOTALL)
BY_REST = BLOCKS[1].splitlines()
ASKED = [line for line in BY_REST if "smoke" not in line]
BY_GRPC = [line for line in BLOCKS[3].splitlines() if "docs/examples" in line]
SMOKE = next(line for line in BY_REST if "agent_smoke" in line)


@dataclass(frozen=True)
class Stack:
    """A release that answers through a gateway, as `nexus up` brings it up from a commit."""

    gateway: str
    release: str

    def run(self, command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        return run(command, self.gateway, cwd)


def run(command: str, gateway: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """One line of the page, in a shell that knows what the page has exported."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(cwd),
        "NEXUS_GATEWAY": gateway,
        "NEXUS_GATEWAY_KEY": "dev-key",
        "OPENAI_BASE_URL": f"{gateway}/v1",
        "OPENAI_API_KEY": "dev-key",
    }
    return subprocess.run(["sh", "-c", command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    laptop = Laptop(tmp_path_factory.mktemp("laptop"), "http://127.0.0.1:9")
    with cluster_of(laptop, NotedRegistry(laptop.clone)) as cluster:
        first = laptop.release(1)
        cluster.apply(laptop.plan(admitted(None, MODEL, first)))
        yield Stack(cluster.state.gateway, first.release)


def test_the_page_names_every_example_and_no_other() -> None:
    files = {path.name for path in EXAMPLES.glob("*/*.*")} - {"package.json"}
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert {name for name in files if name not in page} == set()
    run_here = {Path(word).name for block in BLOCKS for word in block.split() if word.endswith((".py", ".mjs"))}
    assert run_here == files


@pytest.mark.clients
@pytest.mark.parametrize("command", ASKED, ids=lambda command: Path(command.split()[1]).stem)
def test_an_example_prints_the_answer_and_what_made_it(stack: Stack, command: str) -> None:
    if command.startswith(".venv-clients"):
        installed(PYTHON)
    done = stack.run(command)
    assert done.returncode == 0, done.stderr
    holds(done.stdout, stack)


@pytest.mark.clients
def test_the_example_for_node_does_so_too(stack: Stack, tmp_path: Path) -> None:
    installed(NODE_MODULES)
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    shutil.copyfile(EXAMPLES / "node" / "ai_sdk.mjs", tmp_path / "ai_sdk.mjs")
    done = stack.run(BLOCKS[2].splitlines()[-1], tmp_path)
    assert done.returncode == 0, done.stderr
    holds(done.stdout, stack)


def holds(printed: str, stack: Stack) -> None:
    *answer, release, revision, request = printed.splitlines()
    assert "gateway" in "\n".join(answer) or len("\n".join(answer).split()) > 3
    assert release == f"x-nexus-release: {stack.release}"
    assert re.fullmatch(r"x-nexus-revision: [0-9a-f]{64}", revision)
    assert re.fullmatch(r"x-request-id: \S+", request)


def test_the_smoke_finds_nothing_and_an_agents_run_goes_on_under_its_id(stack: Stack) -> None:
    done = stack.run(SMOKE)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ok"] * 6
    asked = f"{ASKED[0]} --run one-run"
    first, again = (stack.run(asked).stderr.splitlines() for _ in range(2))
    assert not any(json.loads(line)["replayed"] for line in first)
    assert all(json.loads(line)["replayed"] for line in again)


def test_an_agent_calls_a_tool_where_the_engine_does(gateway: Gateway) -> None:
    done = run(f"{SMOKE.replace(MODEL, 'chat')} --tools", gateway.url)
    assert done.returncode == 0, done.stderr
    assert "looked up Busan" in done.stdout


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("chat-of-nobody", "the key may use"),
        ("unnamed", "the route names no release"),
        ("cut-streams", "a stream is whole: "),
        ("400", "an answer says what made it: 400"),
    ],
)
def test_the_smoke_ends_with_1_and_the_reason(gateway: Gateway, words: str, wrong: str) -> None:
    done = run(SMOKE.replace(MODEL, words), gateway.url)
    assert done.returncode == 1
    assert wrong in done.stderr.splitlines()[-1]


def test_the_smoke_says_that_an_engine_calls_no_tools_and_that_nobody_is_there(stack: Stack) -> None:
    done = stack.run(f"{SMOKE} --tools")
    assert done.returncode == 1
    assert f"the engine of {MODEL} refuses `tools`" in done.stderr
    nobody = run(SMOKE, "http://127.0.0.1:9")
    assert nobody.returncode == 1
    assert "WRONG  the key may use the model: http://127.0.0.1:9" in nobody.stderr


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker("--engine=mock", "--ttft-ms=0", "--max-num-seqs=1", "--grpc-port=0") as one:
        yield one


def test_the_smoke_tells_an_engine_from_a_gateway(worker: Worker) -> None:
    done = run(SMOKE.replace(MODEL, "mock"), worker.url)
    assert done.returncode == 1
    assert "x-nexus-revision is '', and no digest" in done.stderr


@pytest.mark.parametrize("command", BY_GRPC, ids=["agent", "smoke"])
def test_an_engine_is_asked_by_grpc_as_the_page_says(worker: Worker, command: str) -> None:
    done = run(command.replace("127.0.0.1:9000", worker.grpc.removeprefix("grpc://")), "nobody")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 2


def test_an_engine_that_says_to_come_back_in_an_hour_is_not_waited_for() -> None:
    with Worker("--engine=mock", "--grpc-port=0", "--mock-fault=refuse:status=503,retry_after=3600") as engine:
        done = run(BY_GRPC[0].replace("127.0.0.1:9000", engine.grpc.removeprefix("grpc://")), "nobody")
    assert (done.returncode, "UNAVAILABLE" in done.stderr) == (1, True), done.stderr


def test_the_smoke_by_grpc_ends_with_1_and_the_reason(worker: Worker) -> None:
    smoke = BY_GRPC[1]
    other = run(smoke.replace("127.0.0.1:9000 mock", f"{worker.grpc.removeprefix('grpc://')} other"), "nobody")
    assert other.returncode == 1
    assert other.stderr == "WRONG  it has the model: it has mock, and not other\n"
    nobody = run(smoke.replace("9000", "9"), "nobody")
    assert nobody.returncode == 1
    assert "WRONG  the engine serves: UNAVAILABLE" in nobody.stderr


def test_the_smoke_by_grpc_tells_a_draining_engine_from_one_that_serves() -> None:
    engine = GrpcEngine(serving=False).start()
    try:
        done = run(BY_GRPC[1].replace("9000", str(engine.port)), "nobody")
    finally:
        engine.stop()
    assert (done.returncode, done.stderr) == (1, "WRONG  the engine serves: it is STATE_DRAINING\n")
