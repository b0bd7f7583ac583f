"""Processes: how they are started, told apart, and ended. Each leads a group of its own and ends with all of it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from nexus_release.errors import NexusError, Unreachable
from nexus_release.local.probes import get
from nexus_release.local.state import Mark
from nexus_release.local.waiting import wait_until
from nexus_release.wiring import without_secrets

GRACE_SECONDS = 10.0
"""Between SIGTERM and SIGKILL."""

_LOG_TAIL_BYTES = 2000


@dataclass(frozen=True)
class Program:
    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to this process's own, which is handed on without credentials."""


class ProcessDied(NexusError):
    """A process ended before it was ready. The message ends with the last lines of its log."""


class Process:
    """Ends with the `with` block."""

    def __init__(self, program: Program, child: subprocess.Popen[bytes], log: Path) -> None:
        self.program, self._child, self.log = program, child, log
        self.mark = Mark(name=program.name, pid=child.pid, started=started_at(child.pid) or "")

    @classmethod
    def start(cls, program: Program, log: Path) -> Process:
        """Raises NexusError where the program is not there."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            try:
                child = subprocess.Popen(
                    program.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    env={**without_secrets(os.environ), **program.environment},
                    start_new_session=True,
                )
            except OSError as error:
                raise NexusError(f"{program.name} cannot be started: {error}") from None
        return cls(program, child, log)

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    @property
    def pid(self) -> int:
        return self._child.pid

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """SIGTERM to the group, SIGKILL after `grace` seconds. Returns when the leader is gone."""
        _signal_group(self.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(grace)
        _signal_group(self.pid, signal.SIGKILL)  # also what a leader that ended early has left behind
        self._child.wait()

    def last_words(self) -> str:
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").strip().splitlines()
        return " | ".join(lines[-3:])

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()


def wait_ready(
    process: Process, ready: Callable[[], bool], seconds: float, pause: Callable[[float], None] = time.sleep
) -> None:
    """Raises ProcessDied, or Unreachable after `seconds`."""

    def ready_or_dead() -> bool:
        if not process.alive:
            raise ProcessDied(f"{process.program.name} ended before it was ready: {process.last_words()}")
        return ready()

    wait_until(ready_or_dead, seconds, f"{process.program.name} ready", pause)


def wait_answering(process: Process, url: str, seconds: float) -> None:
    wait_ready(process, lambda: get(url) is not None, seconds)


def started_at(pid: int) -> str | None:
    """When the process started, in the system's own words; None where there is none, or only a zombie."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            state, *fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if state == "Z" else fields[18]  # field 22 of proc(5): clock ticks since boot
    listed = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = listed.stdout.strip().partition(" ")
    return started.strip() if state and not state.startswith("Z") else None


def runs(mark: Mark) -> bool:
    return started_at(mark.pid) == mark.started


def end(mark: Mark, grace: float = GRACE_SECONDS) -> bool:
    """Ends a process that is not our child, with its group where it leads one; False where it is gone already."""
    if not runs(mark):
        return False
    leads = os.getpgid(mark.pid) == mark.pid  # a supervisor in a terminal shares its group with those who called it
    send = os.killpg if leads else os.kill
    with suppress(ProcessLookupError):
        send(mark.pid, signal.SIGTERM)
    with suppress(Unreachable):
        wait_until(lambda: not runs(mark), grace)
    with suppress(ProcessLookupError, PermissionError):
        send(mark.pid, signal.SIGKILL)
    wait_until(lambda: not runs(mark), GRACE_SECONDS, f"the end of {mark.name} ({mark.pid})")
    return True


def _signal_group(leader: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS says EPERM where the group holds only zombies
        os.killpg(leader, number)
