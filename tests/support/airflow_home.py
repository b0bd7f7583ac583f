"""An Airflow of its own in a folder: its database, its settings, and the DAGs of dags/ over a releases.yaml of ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .client import installed
from .repository import ROOT

BIN = ROOT / ".venv-airflow" / "bin"
SCRIPTS = ROOT / "tests" / "orchestrators" / "in_airflow"
NEXUS = ROOT / ".venv" / "bin" / "nexus"
_SECONDS = 240
_LOCK_SECONDS = 60
"""For which SQLite waits while another of Airflow's processes writes: by itself 5, and then the API answers by 503."""


class AirflowHome:
    """Skips the test where `make setup-airflow` has not been run."""

    def __init__(self, folder: Path, entries: Sequence[Mapping[str, Any]], variables: Mapping[str, str]) -> None:
        installed(BIN / "airflow", "setup-airflow")
        self.folder, self.dags = folder / "airflow", folder / "airflow" / "dags"
        self.dags.mkdir(parents=True)
        for name in ("release_airflow.py", ".airflowignore"):
            shutil.copy(ROOT / "dags" / name, self.dags)
        (self.dags / "releases.yaml").write_text(yaml.safe_dump([dict(entry) for entry in entries]))
        self.environment = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(folder),
            "AIRFLOW_HOME": str(self.folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.folder}/airflow.db?timeout={_LOCK_SECONDS}",
            "NEXUS_BIN": str(NEXUS),
            "NEXUS_ROOT": str(ROOT),
            "NEXUS_STATE": str(folder / "state"),
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
            "NEXUS_REMOTE": os.environ.get("NEXUS_REMOTE", ""),
            **variables,
        }

    def migrated(self, template: Path) -> AirflowHome:
        """With a database, which is made once and kept at `template`."""
        database = self.folder / "airflow.db"
        if not template.exists():
            self.run("airflow", "db", "migrate")
            shutil.copy(database, template)
        else:
            shutil.copy(template, database)
        return self

    def run(self, program: str, *words: str, given: str = "") -> str:
        """Standard output of a program of its environment. Fails with what the program said."""
        ended = subprocess.run(
            [str(BIN / program), *words],
            cwd=self.folder,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-6000:]
        return ended.stdout

    def told(self, script: str, given: Any = None) -> Any:
        """What one of in_airflow/ tells."""
        return json.loads(self.run("python", str(SCRIPTS / script), given=json.dumps(given)).splitlines()[-1])

    def dag_tests(self, *cases: Mapping[str, Any]) -> list[dict[str, Any]]:
        """How each case ended (dag_tests.py)."""
        found: list[dict[str, Any]] = self.told("dag_tests.py", cases)
        return found
