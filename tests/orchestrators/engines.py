"""The engines that run a release, behind one signature: each is given what is asked for, and runs it to its end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..support.airflow_home import NEXUS, AirflowHome


@dataclass(frozen=True)
class Asked:
    folder: Path
    """The engine's own: its settings, its database, its logs."""
    spec: Path
    root: Path
    """The repository whose environments say how good a release must be."""
    variables: Mapping[str, str]
    """Where the world is: NEXUS_WORK, NEXUS_REMOTE, MLFLOW_TRACKING_URI and whatever a step may be told besides."""
    nexus: Path = NEXUS
    """The program that runs a step."""

    @property
    def model(self) -> str:
        return str(yaml.safe_load(self.spec.read_text())["model"])


def on_a_laptop(asked: Asked) -> None:
    words = [asked.nexus, "release", asked.spec, "--root", asked.root]
    subprocess.run(words, env={**os.environ, **asked.variables}, check=True, capture_output=True)


def on_airflow(asked: Asked) -> None:
    variables = {**asked.variables, "NEXUS_ROOT": str(asked.root), "NEXUS_BIN": str(asked.nexus)}
    home = AirflowHome(asked.folder, [{"spec": str(asked.spec), "environment": "local"}], variables)
    case = {"dag": f"release-{asked.model}-local", "date": "2026-03-02T03:00:00+00:00"}
    (ended,) = home.migrated(asked.folder.parent / "airflow.db").dag_tests(case)
    assert ended["state"] == "success", ended


ENGINES: Mapping[str, Callable[[Asked], None]] = {"laptop": on_a_laptop, "airflow": on_airflow}
