"""`nexus up`, `nexus status` and `nexus down`, as a person calls them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_release.local.processes import runs
from nexus_release.local.state import LocalState, read_state, wait_until
from nexus_release.plan import Plan, admitted
from nexus_release.ports import RegistryEntry
from nexus_release.record import content_json, release_id

from ..support.laptop import MODEL, Laptop, ask

pytestmark = pytest.mark.services
SECONDS = 120.0  # of waiting; a loaded machine needs a minute to start an engine and a gateway


def nexus(laptop: Laptop, *words: str, registry: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    environment = environment_of(laptop, registry)
    program = Path(sys.executable).with_name("nexus")
    done = subprocess.run([program, *words], env=environment, capture_output=True, text=True, cwd=laptop.clone)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def environment_of(laptop: Laptop, registry: str) -> dict[str, str]:
    return {
        **os.environ,
        "NEXUS_STATE": str(laptop.home),
        "NEXUS_ENGINE": "mock",
        "MLFLOW_TRACKING_URI": registry,
    }


@pytest.fixture
def registered(tmp_path: Path, mlflow_server: str) -> Iterator[tuple[Laptop, str, Plan]]:
    """A laptop whose first release is in a real registry and on main; nothing runs yet, and nothing does after."""
    laptop = Laptop(tmp_path, mlflow_server)
    first = laptop.release(1)
    register_in(laptop, 1)
    planned = admitted(None, MODEL, first)
    commit = laptop.plan(planned)
    yield laptop, commit, planned
    nexus(laptop, "down", registry=mlflow_server)


def register_in(laptop: Laptop, seed: int) -> int:
    content = laptop.content(seed)
    return laptop.tools.registry.register(
        RegistryEntry(
            model=MODEL,
            release=release_id(content),
            artifact_uri=laptop.tools.store.uri(content.artifact.digest),
            artifact_digest=content.artifact.digest,
            dataset_digest=content.dataset.digest,
            dataset_rows=content.dataset.rows,
            parameters={},
            metrics={},
            content=content_json(content).decode(),
        )
    ).version


def alive(state: LocalState) -> list[str]:
    return [mark.name for mark in (state.supervisor, *state.children) if runs(mark)]


def test_up_status_and_down_from_the_command_line(registered: tuple[Laptop, str, Plan], mlflow_server: str) -> None:
    laptop, commit, planned = registered
    said = nexus(laptop, "up", "--wait-commit", commit, registry=mlflow_server)
    state = read_state(laptop.home)
    assert state is not None
    assert state.gateway in said.stdout
    assert ask(state.gateway) == planned.stable.release

    again = nexus(laptop, "up", "--json", registry=mlflow_server)
    assert json.loads(again.stdout)["supervisor"]["pid"] == state.supervisor.pid, "a second `up` joins the first"
    nexus(laptop, "up", "--foreground", registry=mlflow_server, status=1)

    seen = json.loads(nexus(laptop, "status", "--json", registry=mlflow_server).stdout)
    assert seen["disagreements"] == []
    (here,) = seen["environments"]
    assert [part["commit"] for part in here["applied"]] == [commit]
    assert [one["answers"] for one in here["engines"]] == [True]
    assert [one["revision"] for one in here["replicas"][0]["workers"]] == [here["revision"]]
    nexus(laptop, "wait", "--timeout", "0", "--engines", "--aliases", registry=mlflow_server)
    register_in(laptop, 2)
    laptop.tools.registry.set_alias(MODEL, "local", here["aliases"][0]["version"] + 1)
    moved = nexus(laptop, "status", registry=mlflow_server, status=1)
    assert "somebody moved it by hand" in moved.stderr
    assert "run `nexus mirror --env local`" in moved.stderr
    nexus(laptop, "mirror", registry=mlflow_server)
    assert json.loads(nexus(laptop, "status", "--json", registry=mlflow_server).stdout)["disagreements"] == []

    state = read_state(laptop.home)
    assert state is not None
    assert set(alive(state)) >= {"nexus up", "gateway"}
    assert nexus(laptop, "down", registry=mlflow_server).stdout == "stopped\n"
    assert alive(state) == []
    assert nexus(laptop, "down", registry=mlflow_server).stdout == "nothing ran\n"
    assert "nothing runs here" in nexus(laptop, "status", registry=mlflow_server, status=1).stderr


def test_a_supervisor_in_the_foreground_ends_with_everything_it_started(
    registered: tuple[Laptop, str, Plan], mlflow_server: str
) -> None:
    laptop, commit, _ = registered
    with (laptop.home / "terminal.log").open("wb") as terminal:
        program = Path(sys.executable).with_name("nexus")
        here = subprocess.Popen(
            [program, "up", "--foreground"],
            env=environment_of(laptop, mlflow_server),
            cwd=laptop.clone,
            stdout=terminal,
            stderr=terminal,
        )
        state = wait_until(lambda: (seen := read_state(laptop.home)) and seen.applied == commit and seen, SECONDS)
        assert isinstance(state, LocalState)
        nexus(laptop, "down", registry=mlflow_server)
        assert here.wait(SECONDS) == 0
    assert alive(state) == []


def test_what_a_killed_supervisor_left_is_ended_by_the_next_up(
    registered: tuple[Laptop, str, Plan], mlflow_server: str
) -> None:
    laptop, commit, _ = registered
    nexus(laptop, "up", registry=mlflow_server)
    killed = read_state(laptop.home)
    assert killed is not None
    os.kill(killed.supervisor.pid, signal.SIGKILL)
    assert wait_until(lambda: not runs(killed.supervisor), SECONDS)
    assert len(alive(killed)) == 2, "gateway and engine still serve"
    nexus(laptop, "up", "--wait-commit", commit, registry=mlflow_server)
    assert alive(killed) == []
