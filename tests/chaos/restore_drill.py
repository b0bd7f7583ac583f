"""Destroys a whole Nexus and puts it back, with a clock: `make restore-drill`.

Real parts: a Git remote, a store, an MLflow server's SQLite and artifacts, and Redis, each of a stated size. Prints
what it does, and writes the page that it is given.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from nexus_release.adapters.mlflow_registry import MlflowRegistry
from nexus_release.local.free_ports import free_port
from nexus_release.local.mlflow_server import mlflow_server_program
from nexus_release.local.processes import Process, wait_answering

from ..support.mirrored import entry_of
from ..support.redis_server import RedisServer
from ..support.remotes import Remote, plant_house
from ..support.true_releases import World

NEXUS = Path(sys.executable).with_name("nexus")
MIB = 1 << 20
_ENTRY = 64 * MIB  # of a ballast entry of the store


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--releases", type=int, default=10)
    asked.add_argument("--store-mib", type=int, default=1024)
    asked.add_argument("--keys", type=int, default=20_000)
    asked.add_argument("page", nargs="?", type=Path)
    said = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="nexus-drill-") as folder:
        lines = drill(Path(folder), said.releases, said.store_mib, said.keys)
    print("\n".join(lines))  # noqa: T201 - a program that answers on standard output
    if said.page:
        said.page.write_text("\n".join(page(lines)) + "\n", encoding="utf-8")


def drill(folder: Path, releases: int, store_mib: int, keys: int) -> list[str]:
    """The rows of the table."""
    (folder / "state").mkdir()
    world = World(folder / "state", Remote(folder / "state", plant_house))
    ballast(world, store_mib)
    mlflow = folder / "state" / "mlflow"
    server = RedisServer(folder).start()
    try:
        fill(server, keys)
        with registry_of(mlflow) as registry:
            for seed in range(1, releases + 1):
                record = world.record(seed)
                registry.register(entry_of(record))
                world.land(record)
            first, _ = timed("backup", folder, server.url)
            second, _ = timed("backup", folder, server.url)
        sizes = [
            f"| releases on main, in MLflow, signed | {releases} |",
            f"| store | {size(world.folder / 'work' / 'store'):,} MiB |",
            f"| MLflow: database and artifacts | {size(mlflow):,} MiB |",
            f"| Git remote | {size(world.remote.path):,} MiB |",
            f"| Redis | {keys:,} keys |",
        ]
        shutil.rmtree(folder / "state")
        server.kill()
        server.start()
        whole, said = timed("restore", folder, server.url)
        restored = float(re.findall(r"^restored the backup \S+ in (\S+) s$", said, re.MULTILINE)[0])
    finally:
        server.kill()
    return [
        *sizes,
        f"| first backup, of everything | {first:.1f} s |",
        f"| next backup, of what is new (nothing) | {second:.1f} s |",
        f"| restore of everything into empty places, every byte proved | {restored:.1f} s |",
        f"| and then the proof of releases and rendered trees (`nexus verify --all`) | {whole - restored:.1f} s |",
    ]


def timed(command: str, folder: Path, redis_url: str) -> tuple[float, str]:
    """(seconds, what it said). Raises CalledProcessError, also where a release lies after `nexus restore`."""
    state = folder / "state"
    words = ["--to" if command == "backup" else "--from", str(folder / "backups")]
    environment = {
        **os.environ,
        "NEXUS_WORK": (state / "work").as_uri(),
        "NEXUS_REMOTE": str(state / "remote.git"),
        "NEXUS_STATE": str(folder / "nowhere"),
        "NEXUS_MLFLOW_DATABASE": f"sqlite:///{state / 'mlflow' / 'mlflow.db'}",
        "NEXUS_MLFLOW_ARTIFACTS": str(state / "mlflow" / "artifacts"),
        "NEXUS_REDIS": redis_url,
    }
    started = time.monotonic()
    done = subprocess.run([NEXUS, command, *words], env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return time.monotonic() - started, done.stdout


def page(rows: list[str]) -> list[str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    machine = f"{os.cpu_count()} cores of {platform.machine()}, {memory} GiB of memory, {platform.system()}"
    load = os.getloadavg()[0]
    return [
        "# How long a restore takes",
        "",
        f"Measured by `make restore-drill` on {datetime.datetime.now(datetime.UTC).date()}: {machine},",
        f"everything on one disk; the machine had a load of {load:.0f} at the end, most of it of others. One run: it",
        "says what to expect of a machine like this, and is no bound. Yours is what your own drill says.",
        "",
        "| what | |",
        "| --- | --- |",
        *rows,
        "",
        "What is lost at most (RPO) is the time between two backups and the time that the newest took; what it takes",
        "to find out and to decide is in no drill. [The runbook](how-to/back-up-and-restore.md) says what to do.",
    ]


def ballast(world: World, mib: int) -> None:
    """Entries that no record names, as of releases that came to nothing."""
    for number in range(mib * MIB // _ENTRY):
        world.entry({"model.safetensors": os.urandom(MIB) * (_ENTRY // MIB - 1) + number.to_bytes(8, "big")})


def fill(server: RedisServer, keys: int) -> None:
    """Half of them with an end, as the gateway's have."""
    with redis.Redis(port=server.port) as client:
        put = client.pipeline(transaction=False)
        for number in range(keys):
            put.set(f"key:{number}", os.urandom(200), ex=86_400 if number % 2 else None)
        put.execute()


@contextmanager
def registry_of(folder: Path) -> Iterator[MlflowRegistry]:
    port = free_port()
    with Process.start(mlflow_server_program(folder, port), folder.parent / "mlflow.log") as server:
        wait_answering(server, f"http://127.0.0.1:{port}/health", 240.0)
        yield MlflowRegistry(f"http://127.0.0.1:{port}")


def size(folder: Path) -> int:
    """MiB, rounded up."""
    return -(-sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) // MIB)


if __name__ == "__main__":
    main()
