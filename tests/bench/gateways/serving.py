"""A gateway's processes: started on one core, ready, known by their ids, and quiet before the next has its turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nexus_release.errors import Unreachable
from nexus_release.local.free_ports import free_port
from nexus_release.local.processes import Process, Program, wait_answering, wait_ready
from nexus_release.local.waiting import wait_until

from .cases import IDLE
from .ends import BothEnds, Case, Run
from .gateways import Gateway

_START_SECONDS = 120.0
_QUIET_SECONDS = 30.0
_LOOKED_SECONDS = 0.05
_QUIET_SHARE = 0.05
"""Of a core."""


@dataclass(frozen=True)
class Serving:
    gateway: Gateway
    port: int
    process: Process

    def run(self, ends: BothEnds, case: Case, *, warm: float, measured: float) -> Run:
        return ends.run(self.port, case, tree(self.process.pid), warm=warm, measured=measured)


@contextmanager
def serving(gateway: Gateway, ends: BothEnds, folder: Path, core: int) -> Iterator[Serving]:
    """Raises ProcessDied, or Unreachable where it does not answer in two minutes."""
    folder.mkdir(parents=True)
    port = free_port()
    start = gateway.start(folder, port, ends.port)
    program = Program(gateway.name, ("taskset", "-c", str(core), *start.argv), start.environment)
    with Process.start(program, folder / "gateway.log") as process:
        if gateway.health:
            wait_answering(process, f"http://127.0.0.1:{port}{gateway.health}", _START_SECONDS)
        else:
            wait_ready(process, lambda: _listens(port), _START_SECONDS)
        yield Serving(gateway, port, process)


def quiet(served: Serving, ends: BothEnds) -> None:
    """Waits until it has worked off what the last run has left behind, thirty seconds at most: what one goes on with
    costs the next no CPU time of its own, only a cache that is less warm."""

    def rests() -> bool:
        run = served.run(ends, IDLE, warm=0.0, measured=_LOOKED_SECONDS)
        return run.cpu_us < _QUIET_SHARE * run.seconds * 1e6

    with suppress(Unreachable):
        wait_until(rests, _QUIET_SECONDS)


def tree(pid: int) -> list[int]:
    """The process and all that descend from it."""
    found = [pid]
    for one in found:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def _listens(port: int) -> bool:
    """By the table of sockets: a server that answers only who has a key is not asked."""
    sockets = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return any(f":{port:04X} 00000000:0000 0A" in line for line in sockets)
