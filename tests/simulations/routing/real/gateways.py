"""The gateways that run for real, each by its own defaults but for who is asked and by what policy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from nexus_release.local.engines import beside_python
from nexus_release.local.free_ports import free_port
from nexus_release.local.processes import Process, Program, wait_answering

from ....bench.gateways.gateways import BENCH, SGLANG_ROUTER, VLLM_ROUTER, bench_version, nexus_version
from ....bench.gateways.serving import tree
from ..strategies.nexus import PENALTY_SECONDS
from ..workloads import ONE_GPU
from .engines import MODEL

KEY = "sk-bench-0123456789abcdef"
START_SECONDS = 120.0
PATIENCE_SECONDS = 600
"""For a first byte: the others have it by default, and who gave up sooner would ask again, and add to the queue."""
_PLENTY = 1_000_000_000


@dataclass(frozen=True)
class Real:
    name: str
    package: str
    version: Callable[[], str | None]
    """None where it is not on this machine."""
    argv: Callable[[Path, int, Sequence[str]], tuple[str, ...]]
    """By a folder of its own, its port, and the engines' addresses."""


@dataclass(frozen=True)
class Running:
    port: int
    process: Process

    @property
    def memory(self) -> float:
        """MiB that its processes have in memory now."""
        return sum(_resident_kib(pid) for pid in tree(self.process.pid)) / 1024


@contextmanager
def running(real: Real, count: int, engines: Sequence[str], folder: Path) -> Iterator[list[Running]]:
    """So many of one kind before the same engines. Raises ProcessDied, or Unreachable."""
    with ExitStack() as stack:
        found = []
        for number in range(count):
            own, port = folder / f"{real.name}-{number}", free_port()
            own.mkdir(parents=True)
            program = Program(real.name, real.argv(own, port, engines))
            process = stack.enter_context(Process.start(program, own / "gateway.log"))
            wait_answering(process, f"http://127.0.0.1:{port}/health", START_SECONDS)
            found.append(Running(port, process))
        yield found


def _resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def _nexus(folder: Path, port: int, engines: Sequence[str]) -> tuple[str, ...]:
    choice = {
        "strategy": "prefix",
        "prefill_tokens_per_second": ONE_GPU.pace.prefill_rate,
        "ttft_penalty_seconds": PENALTY_SECONDS,
    }
    routes = {
        "upstreams": {"engines": {"endpoints": list(engines), "release": "a" * 64, "choice": choice}},
        "routes": {
            MODEL: {"strategy": "direct", "upstream": "engines", "timeouts": {"first_byte_seconds": PATIENCE_SECONDS}}
        },
        "policies": {"bench": {"requests_per_minute": _PLENTY, "tokens_per_minute": _PLENTY, "max_parallel": 100_000}},
    }
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    keys = {"keys": [{"id": "bench-1", "tenant": "bench", "digest": f"sha256:{digest}", "models": [MODEL]}]}
    (folder / "routes.yaml").write_text(json.dumps(routes))
    (folder / "keys.yaml").write_text(json.dumps(keys))
    files = (f"--routes={folder / 'routes.yaml'}", f"--keys={folder / 'keys.yaml'}", f"--audit={folder / 'audit'}")
    return (beside_python("nexus-gateway"), "serve", *files, f"--port={port}")


def _cache_aware(*program: str) -> Callable[[Path, int, Sequence[str]], tuple[str, ...]]:
    def argv(folder: Path, port: int, engines: Sequence[str]) -> tuple[str, ...]:
        # Theirs allows so many at once that an open loop would be refused, and looks for engines every 30 s.
        more = ("--policy=cache_aware", "--max-concurrent-requests=8192", "--worker-startup-check-interval=1")
        address = ("--host=127.0.0.1", f"--port={port}", f"--prometheus-port={free_port()}", "--log-level=error")
        return (*program, *address, *more, "--worker-urls", *engines)

    return argv


REAL = (
    Real("Nexus", "nexus-platform", nexus_version, _nexus),
    Real("vllm-router", VLLM_ROUTER, bench_version(VLLM_ROUTER), _cache_aware(str(BENCH / VLLM_ROUTER))),
    Real(
        "sglang-router", SGLANG_ROUTER, bench_version(SGLANG_ROUTER),
        _cache_aware(str(BENCH / SGLANG_ROUTER), "launch"),
    ),
    # Not by the command `smg`: sglang-router brings one of that name, and who was installed last has it.
    Real("smg", "smg", bench_version("smg"), _cache_aware(str(BENCH / "python"), "-m", "smg.launch_router")),
)  # fmt: skip
