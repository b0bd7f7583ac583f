"""Steps that die, and engines that try them again: a release ends on each engine as one that nothing disturbed."""

from __future__ import annotations

import json
import re
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from nexus_release.graph import NODES

from ..chaos.world import World
from ..support.airflow_home import NEXUS
from ..support.repository import ROOT
from .engines import ENGINES, Asked, on_a_laptop

pytestmark = [pytest.mark.services, pytest.mark.train, pytest.mark.timeout(900)]

KILLS: Mapping[str, tuple[str, ...]] = {
    "validate": (r"os\.rename work/store/sha256/<digest>", r"os\.rename work/steps/"),
    "quantize": (r"os\.rename work/store/sha256/<digest>",),
    "register": (r"POST .*/runs/create", r"PUT .*content\.json", r"POST .*/model-versions/create"),
    "render": (r"os\.rename work/store/sha256/<digest>", r"os\.rename work/steps/"),
    "propose": (r"git push branch$", r"git push main", r"git push branch away"),
}
"""Step -> where its first tries die. One that is not named dies once its work is done and not yet noted."""


def kills(step: str) -> list[str]:
    return [*KILLS.get(step, (r"os\.rename work/steps/",))]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, mlflow_server: str) -> World:
    """A world in which nothing has happened; the others are its copies."""
    return World.first(tmp_path_factory.mktemp("crash") / "undisturbed", mlflow_server)


@pytest.fixture(scope="module")
def undisturbed(first: World) -> Mapping[str, Any]:
    world = first.copied(first.folder.parent / "laptop", ())
    on_a_laptop(asked(world, NEXUS))
    return world.outcome()


def asked(world: World, nexus: Path) -> Asked:
    engine = world.folder / "engine"
    engine.mkdir()
    return Asked(engine, world.folder / "spec.yaml", world.folder / "root", world.environ(), nexus)


@pytest.fixture(scope="module")
def forking() -> Iterator[Path]:
    """The socket of a process that has imported what a step needs (forked_nexus.py)."""
    with tempfile.TemporaryDirectory(prefix="nexus-") as folder:  # a socket's path is short
        path = Path(folder) / "socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            number = listener.fileno()
            words = [sys.executable, "-m", "tests.chaos.forked_nexus", str(number)]
            with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, pass_fds=[number]):
                yield path  # it ends with its input


def dying(world: World, forking: Path) -> Path:
    """The program that runs steps until it is killed."""
    schedule = {"world": str(world.folder), "kills": {step: kills(step) for step in NODES}}
    (world.folder / "schedule.json").write_text(json.dumps(schedule))
    path = world.folder / "nexus"
    ask = f"{sys.executable} -IS {ROOT}/tests/chaos/forked_client.py {forking}"
    path.write_text(f'#!/bin/sh\nexec {ask} {world.folder}/schedule.json "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "laptop"])
def test_a_release_whose_every_step_dies_ends_as_an_undisturbed_one(
    engine: str, first: World, undisturbed: Mapping[str, Any], forking: Path
) -> None:
    """The same record, one version, one run, the same two commits, no branch, no lie, no broken entry."""
    world = first.copied(first.folder.parent / engine, ())
    ENGINES[engine](asked(world, dying(world, forking)))
    assert world.outcome() == undisturbed
    for step in NODES:
        died = [path.read_text().splitlines()[-1] for path in sorted((world.folder / "tries").glob(f"{step}-*"))]
        assert len(died) == len(kills(step)) + 1, f"{step} was not tried as often as it died, and once more"
        assert all(re.match(kill, label) for kill, label in zip(kills(step), died, strict=False)), died
