"""Where state is in the tests of backups, the two commands on it, and an MLflow server of one's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nexus_release.adapters.mlflow_registry import MlflowRegistry
from nexus_release.config import environment_names
from nexus_release.local.free_ports import free_port
from nexus_release.local.mlflow_server import mlflow_server_program
from nexus_release.local.processes import Process, Program, wait_answering
from nexus_release.record import Record
from nexus_release.wiring import Connections

from .command import Nexus, Told
from .mirrored import entry_of
from .remotes import Remote, plant_house
from .true_releases import World

_START_SECONDS = 240.0


@contextmanager
def mlflow(program: Program, port: int, log: Path) -> Iterator[MlflowRegistry]:
    with Process.start(program, log) as server:
        wait_answering(server, f"http://127.0.0.1:{port}/health", _START_SECONDS)
        yield MlflowRegistry(f"http://127.0.0.1:{port}")


@contextmanager
def mlflow_of(folder: Path) -> Iterator[MlflowRegistry]:
    """The laptop's: SQLite and a folder."""
    port = free_port()
    with mlflow(mlflow_server_program(folder, port), port, folder.parent / "mlflow.log") as registry:
        yield registry


def true_house(folder: Path) -> World:
    """A true release on main, in the store and signed; of one environment, since verifying renders each anew."""

    def plant(root: Path) -> None:
        plant_house(root)
        for other in {*environment_names(root)} - {"local"}:
            shutil.rmtree(root / "environments" / other)
            shutil.rmtree(root / "gitops" / other)

    world = World(folder, Remote(folder, plant))
    world.land(world.record(1))
    return world


class Places:
    """Where state is, or is to be: `work`, `remote.git`, `mlflow` below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mlflow = folder, folder / "mlflow"
        self.connections = Connections(
            work=(folder / "work").as_uri(), registry="http://127.0.0.1:9", remote=str(folder / "remote.git")
        )

    def words(self, redis: str, mlflow: bool) -> list[str]:
        database = f"--mlflow-database=sqlite:///{self.mlflow / 'mlflow.db'}"
        found = [database, f"--mlflow-artifacts={self.mlflow / 'artifacts'}"] if mlflow else []
        return [*found, *([f"--redis={redis}"] if redis else [])]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "NEXUS_WORK": self.connections.work,
            "NEXUS_REMOTE": self.connections.remote,
            "NEXUS_STATE": str(self.folder / "state"),
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        }

    def files(self) -> set[str]:
        return {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()}


class Commands:
    def __init__(self, nexus: Nexus, monkeypatch: pytest.MonkeyPatch, vault: Path) -> None:
        self._nexus, self._monkeypatch, self._vault = nexus, monkeypatch, vault

    def backup(self, places: Places, *words: str, redis: str = "", mlflow: bool = True) -> Told:
        return self._in(places, "backup", "--to", str(self._vault), *places.words(redis, mlflow), *words)

    def restore(self, places: Places, *words: str, redis: str = "", mlflow: bool = True) -> Told:
        return self._in(places, "restore", "--from", str(self._vault), *places.words(redis, mlflow), *words)

    def verify(self, places: Places, registry: str) -> Told:
        self._monkeypatch.setenv("MLFLOW_TRACKING_URI", registry)
        return self._nexus("verify", "--all", "--registry", "--strict")

    def _in(self, places: Places, *words: str) -> Told:
        for name, value in places.environment.items():
            self._monkeypatch.setenv(name, value)
        return self._nexus(*words)


def register(registry: MlflowRegistry, record: Record) -> int:
    return registry.register(entry_of(record)).version


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
