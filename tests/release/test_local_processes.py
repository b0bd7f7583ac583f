"""Processes that the laptop's cluster starts end with it, and no other process does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from nexus_release.errors import Conflict, Missing, NexusError
from nexus_release.local.control import ensure_up, take_down, wait_applied
from nexus_release.local.kept import Kept
from nexus_release.local.processes import Process, ProcessDied, Program, end, runs, started_at, wait_ready
from nexus_release.local.state import LocalState, Mark, wait_until, write_state

SECONDS = 60.0
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def python(code: str) -> Program:
    return Program("a program", (sys.executable, "-c", code))


def test_a_process_that_ignores_sigterm_ends_with_its_children(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Process.start(python(STUBBORN), log) as stubborn:
        grandchild = int(wait_until(lambda: log.read_text().strip(), SECONDS))
        stubborn.stop(grace=0.1)
    assert started_at(stubborn.pid) is None
    assert wait_until(lambda: started_at(grandchild) is None, SECONDS)


def test_a_process_that_dies_before_it_is_ready_is_quoted(tmp_path: Path) -> None:
    broken = Process.start(python("raise SystemExit('no such model')"), tmp_path / "log")
    with pytest.raises(ProcessDied, match="no such model"):
        wait_ready(broken, lambda: False, SECONDS)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NexusError, match="a program cannot be started"):
        Process.start(Program("a program", (str(tmp_path / "none"),)), tmp_path / "log")


def test_a_later_process_with_the_same_number_is_left_alone(tmp_path: Path) -> None:
    with Process.start(python("import time; time.sleep(600)"), tmp_path / "log") as other:
        assert not end(other.mark.model_copy(update={"started": "at another time"}))
        assert other.alive
        assert end(other.mark)
        assert not other.alive


def test_a_kept_process_comes_back_and_a_stopped_one_does_not(tmp_path: Path) -> None:
    kept = Kept(python("import time; time.sleep(600)"), tmp_path / "log")
    assert not kept.tend(), "what was never started is not started"
    first = kept.start()
    first.stop()
    assert wait_until(lambda: kept.tend() and kept.pid, SECONDS) != first.pid
    kept.stop()
    assert not kept.tend()
    assert kept.marks == ()


def alive(home: Path, **said: str) -> Path:
    """A home whose supervisor is this very process."""
    mark = Mark(name="test", pid=os.getpid(), started=started_at(os.getpid()) or "")
    write_state(home, LocalState(supervisor=mark, registry="r", gateway="g", remote="x", **said))  # type: ignore[arg-type]  # all fields given here are strings
    return home


def test_waiting_for_a_commit_that_is_refused_ends_with_the_reason(tmp_path: Path) -> None:
    alive(tmp_path, head="c", refused="c", last_problem="c is not applied: no such artifact")
    with pytest.raises(NexusError, match="no such artifact"):
        wait_applied(tmp_path, "c")


def test_waiting_where_nothing_runs_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="nexus up"):
        wait_applied(tmp_path, "c")


def test_another_engine_than_the_one_that_is_up_is_a_conflict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_ENGINE", "vllm")
    with pytest.raises(Conflict, match="nexus down"):
        ensure_up(alive(tmp_path, engine="mock"), tmp_path)


def test_taking_down_ends_children_that_have_lost_their_supervisor(tmp_path: Path) -> None:
    with Process.start(python("import time; time.sleep(600)"), tmp_path / "log") as orphan:
        gone = Mark(name="nexus up", pid=orphan.pid, started="long ago")
        write_state(
            tmp_path,
            LocalState(supervisor=gone, children=(orphan.mark,), registry="r", gateway="g", remote="x"),
        )
        assert take_down(tmp_path)
        assert not runs(orphan.mark)
    assert not take_down(tmp_path)
