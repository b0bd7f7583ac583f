"""Both ends of a gateway: the clients and the engine of `both_ends/`, compiled, started, and asked for runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from nexus_release.errors import NexusError
from nexus_release.local.free_ports import free_port

MODEL = "bench"
KEY = "sk-bench-0123456789abcdef"
EVENTS = 200
"""Of a stream."""

_SOURCES = Path(__file__).parent / "both_ends"
_FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror")
_NO_CONNECTION = 3
_TOOLS = {"cc": "a C compiler (Debian: gcc and libc6-dev)", "taskset": "util-linux"}


@dataclass(frozen=True)
class Case:
    """What the clients do. Bodies have 2 KB, whole answers 548 bytes, events 185 bytes."""

    name: str
    clients: int
    """Connections, each with one request at a time."""
    events: int = 0
    """Of each stream, in a closed loop for each event; 0: whole answers."""
    rate: float = 0.0
    """Requests a second whatever the answers do; 0: the next request when an answer is there."""
    pooled: int = 0
    """Before it so many streams at once, which leave the gateway as many idle connections to the engine."""


@dataclass(frozen=True)
class Run:
    """What both ends saw, and what the gateway's processes used meanwhile."""

    seconds: float
    units: int
    """Answers, or events of streams."""
    errors: int
    stalls: int
    """Events that the gateway has kept for three seconds."""
    cpu_us: float
    rss_kib: int
    p50_us: float
    """Of whole answers; in an open loop from when a request was due. -1 where there was none."""
    p99_us: float
    own_share: float
    """Of a core, by both ends themselves."""
    engine_connections: int
    """As the run began."""


def compiled(folder: Path) -> Path:
    """Raises NexusError that names what is missing, or what the compiler says."""
    for tool, package in _TOOLS.items():
        if not shutil.which(tool):
            raise NexusError(f"{tool} is not here: install {package}")
    made = folder / "both_ends"
    done = subprocess.run(
        ["cc", *_FLAGS, "-o", made, *sorted(_SOURCES.glob("*.c"))], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NexusError(f"{_SOURCES.name} does not compile: {done.stderr.strip()[-2000:]}")
    return made


class BothEnds:
    """Runs on one core, `core`, and ends with the `with` block. The engine answers between runs too."""

    def __init__(self, program: Path, core: int) -> None:
        self.port = free_port()
        """The engine's."""
        self._argv = ("taskset", "-c", str(core), str(program), str(self.port), MODEL, KEY)
        self._process = self._started()

    def run(self, port: int, case: Case, pids: Sequence[int], *, warm: float, measured: float) -> Run:
        """Asks 127.0.0.1:`port`; times are seconds. Raises NexusError where the gateway takes no connection;
        what asks the next one is then started anew."""
        words = {
            "gateway": port, "clients": case.clients, "events": case.events, "rate": f"{case.rate:g}",
            "pooled": case.pooled, "warm_ms": f"{1000 * warm:.0f}", "measured_ms": f"{1000 * measured:.0f}",
        }  # fmt: skip
        said = [f"{name}={value}" for name, value in words.items()] + [f"pid={pid}" for pid in pids]
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(" ".join(said) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            self._process.communicate()
            self._process = self._started()
            why = "it took no connection" if status == _NO_CONNECTION else f"the load generator ended with {status}"
            raise NexusError(f"{case.name}: {why}")
        return Run(**json.loads(line))

    def _started(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> BothEnds:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.terminate()
        self._process.communicate()
