"""Fixtures of the orchestrators' tests."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ..support.airflow_home import NEXUS, AirflowHome
from ..support.kfp_home import KfpHome, KfpRun
from ..support.releases import plant_environments
from ..support.remotes import Remote

MakeHome = Callable[..., AirflowHome]


@pytest.fixture(scope="package", autouse=True)
def main_without_a_release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a release is asked against, where a test names no remote of its own: nothing is stable there."""
    remote = Remote(tmp_path_factory.mktemp("main"), plant_environments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEXUS_REMOTE", str(remote.path))
        yield


@pytest.fixture(scope="session")
def airflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("airflow-database") / "airflow.db"


@pytest.fixture
def airflow(tmp_path: Path, airflow_database: Path) -> MakeHome:
    """Makes an Airflow whose releases.yaml holds the given entries; the keywords are variables."""

    def make(*entries: Mapping[str, Any], **variables: str) -> AirflowHome:
        return AirflowHome(tmp_path, entries, variables).migrated(airflow_database)

    return make


@pytest.fixture(scope="session")
def refused_by_kfp(tmp_path_factory: pytest.TempPathFactory) -> tuple[KfpRun, Path]:
    """The run, and its release file."""
    folder = tmp_path_factory.mktemp("refused-by-kfp")
    spec = bad_spec(folder)
    return KfpHome(folder / "kfp", {}).run(spec), spec


def bad_spec(folder: Path, model: str = "chat") -> Path:
    """A release that the first gate refuses, in a second."""
    (folder / f"{model}.jsonl").write_text("no JSON\n" * 10)
    path = folder / f"{model}.yaml"
    path.write_text(json.dumps({"model": model, "dataset": str(folder / f"{model}.jsonl")}))
    return path


def on_the_laptop(spec: Path, root: Path, variables: Mapping[str, str], environment: str = "local") -> Path:
    """The summary that `nexus release` leaves, whatever its end."""
    words = ["release", spec, "--root", root, "--env", environment]
    done = subprocess.run([NEXUS, *words], env={**os.environ, **variables}, capture_output=True, text=True)
    (path,) = Path(variables["NEXUS_STATE"]).glob("runs/*/summary.json")
    assert done.returncode in (0, 3), done.stderr
    return path


def program(path: Path, lines: str) -> Path:
    """A stand-in for `nexus` that does what it says and then what nexus does."""
    path.write_text(f'#!/bin/sh\n{lines}\nexec {NEXUS} "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
