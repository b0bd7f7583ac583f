"""One release, asked for once on each engine, each with a store, a registry and a remote of its own: the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nexus_release.graph import NODES
from nexus_release.local.free_ports import free_port
from nexus_release.local.mlflow_server import mlflow_server_program
from nexus_release.local.processes import Process, wait_answering

from ..chaos.world import World
from ..support.mlflow_server import client_of
from ..support.remotes import Remote
from .engines import ENGINES, Asked

pytestmark = [pytest.mark.services, pytest.mark.train, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Left:
    """What a release has left on one engine."""

    summary: bytes
    outs: Mapping[str, Any]
    """Step -> its output, from the journal: one run of each step."""
    tree: Mapping[str, bytes]
    """Path -> bytes of what is rendered, on the remote's main."""
    contents: Mapping[str, Any]
    """Path -> what each record on main says of how its release was made."""
    commits: tuple[str, ...]
    """Subjects on main, after the same release has been asked for twice."""
    registered: tuple[str, ...]
    """The release of each version in the registry, likewise."""
    ran: Mapping[str, datetime]
    """Step -> when it started."""
    began: datetime


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The data, the release file and the environments that all engines are given; nothing runs in it."""
    return World.first(tmp_path_factory.mktemp("parity") / "world", "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def left(world: World) -> Mapping[str, Left]:
    return {name: _left_by(name, world) for name in ENGINES}


def _left_by(engine: str, world: World) -> Left:
    folder = world.folder.parent / engine
    for name in ("mlflow", "first", "second"):
        (folder / name).mkdir(parents=True)
    work, remote, port = folder / "work", Remote.copied(world.house, folder), free_port()
    registry = f"http://127.0.0.1:{port}"
    variables = {"NEXUS_WORK": work.as_uri(), "NEXUS_REMOTE": str(remote.path), "MLFLOW_TRACKING_URI": registry}
    asked = Asked(folder / "first", world.folder / "spec.yaml", world.folder / "root", variables)
    with Process.start(mlflow_server_program(folder / "mlflow", port), folder / "server.log") as server:
        wait_answering(server, f"{registry}/health", 180)
        began = datetime.now(UTC).replace(microsecond=0)
        ENGINES[engine](asked)
        (summary,) = work.glob("runs/*/summary.json")
        left = {"summary": summary.read_bytes(), "outs": _outs(work), "ran": _started(work), "began": began}
        ENGINES[engine](replace(asked, folder=folder / "second"))
        versions = client_of(registry).search_model_versions(f"name = '{world.model}'")
    return Left(
        **left,
        tree=remote.files("gitops/local"),
        contents={path: json.loads(data)["content"] for path, data in remote.files("gitops/releases").items()},
        commits=tuple(remote.subjects()),
        registered=tuple(version.tags["nexus.release"] for version in versions),
    )


def _outs(work: Path) -> Mapping[str, Any]:
    kept = {name: [*(work / "steps" / name).glob("*.json")] for name in NODES}
    assert {len(results) for results in kept.values()} == {1}, kept
    return {name: json.loads(path.read_bytes())["out"] for name, (path,) in kept.items()}


def _started(work: Path) -> Mapping[str, datetime]:
    (timings,) = work.glob("runs/*/timings.json")
    return {step["step"]: datetime.fromisoformat(step["started"]) for step in json.loads(timings.read_bytes())}


@pytest.mark.parametrize("engine", ENGINES)
def test_every_step_has_run_on(engine: str, left: Mapping[str, Left]) -> None:
    assert [*left[engine].ran] == [*NODES]
    assert min(left[engine].ran.values()) >= left[engine].began


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "laptop"])
def test_what_a_laptop_leaves_is_left_by(engine: str, left: Mapping[str, Left]) -> None:
    laptop, other = left["laptop"], left[engine]
    assert json.loads(laptop.summary)["outcome"] == "done"
    assert other.outs == laptop.outs
    assert other.summary == laptop.summary
    assert other.contents == laptop.contents
    assert [*other.contents] == [f"gitops/releases/mworld/{laptop.outs['register']['release']}.json"]
    assert other.tree == laptop.tree


@pytest.mark.parametrize("engine", ENGINES)
def test_a_release_that_is_asked_for_twice_is_made_once_on(engine: str, left: Mapping[str, Left]) -> None:
    assert left[engine].registered == (left[engine].outs["register"]["release"],)
    assert len(left[engine].commits) == 3  # the house, the record and the plan
