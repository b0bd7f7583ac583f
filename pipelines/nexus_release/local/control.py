"""Starts, stops and waits for the supervisor, from outside."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from nexus_release.errors import Conflict, Missing, NexusError
from nexus_release.local.engines import beside_python
from nexus_release.local.paths import Paths
from nexus_release.local.processes import end, runs
from nexus_release.local.state import LocalState, read_state
from nexus_release.local.waiting import wait_until

READY_SECONDS = 420.0
"""Until `nexus up` gives up waiting: MLflow's first start on a loaded machine, and after it vLLM's."""

_STOP_SECONDS = 90.0  # draining ends at once on SIGTERM; each child has ten seconds before it is killed


def ensure_up(home: Path, root: Path) -> LocalState:
    """Starts the supervisor of `home` where none runs, and waits until it is ready: registry and gateway answer, and
    main is applied, or `last_problem` says why it is not.

    `root` is the checkout whose `.venv-vllm` is used. Raises NexusError where the supervisor ends instead, Conflict
    where one runs with another NEXUS_ENGINE than is asked for now.
    """
    home = home.absolute()
    if state := running(home):
        wanted = os.environ.get("NEXUS_ENGINE", "")
        if wanted not in ("", state.engine):
            raise Conflict(
                f"the cluster is up with NEXUS_ENGINE={state.engine!r}, not {wanted!r}: run `nexus down` first"
            )
    else:
        child = _launch(home, root)
        _wait(home, lambda state: state.supervisor.pid == child.pid and state.ready, READY_SECONDS, child)
    return _wait(home, lambda state: state.ready, READY_SECONDS)


def wait_applied(home: Path, commit: str, seconds: float = READY_SECONDS) -> LocalState:
    """Waits until `commit` is applied whole. Raises NexusError as soon as it is known not to be."""

    def applied(state: LocalState) -> bool:
        if state.refused == commit:
            raise NexusError(f"{state.last_problem} (logs in {Paths(home).logs})")
        return state.applied == commit

    return _wait(home.absolute(), applied, seconds)


def take_down(home: Path) -> bool:
    """Stops the supervisor and everything that it started; False where nothing ran."""
    state = read_state(home)
    if state is None:
        return False
    stopped = end(state.supervisor, _STOP_SECONDS)
    left = [end(mark) for mark in (read_state(home) or state).children]  # a supervisor that was killed leaves them
    return stopped or any(left)


def running(home: Path) -> LocalState | None:
    """The state of a supervisor that lives."""
    state = read_state(home)
    return state if state and runs(state.supervisor) else None


def _launch(home: Path, root: Path) -> subprocess.Popen[bytes]:
    log = Paths(home).logs / "nexus-up.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(
            [beside_python("nexus"), "up", "--foreground"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=root,
            env={**os.environ, "NEXUS_STATE": str(home)},
            start_new_session=True,  # it outlives the terminal
        )


def _wait(
    home: Path, holds: Callable[[LocalState], bool], seconds: float, child: subprocess.Popen[bytes] | None = None
) -> LocalState:
    def look() -> LocalState | None:
        state = running(home)
        if child is not None and child.poll() is not None:
            raise NexusError(f"`nexus up` ended with {child.returncode}: see {Paths(home).logs / 'nexus-up.log'}")
        if state is None:
            if child is None:
                raise Missing("nothing runs here: run `nexus up`")
            return None
        return state if holds(state) else None

    found = wait_until(look, seconds, f"the local cluster in {home}")
    assert found is not None  # noqa: S101 - narrows for mypy: wait_until gives only what is true
    return found
