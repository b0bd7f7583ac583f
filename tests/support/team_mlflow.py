"""MLflow as `ops/compose/mlflow.yaml` starts it, without Docker: in Postgres, with a password for everybody.

Use the fixture `team_mlflow`. Only addresses, folders and the driver's name differ from what Compose would run.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from nexus_release.local.free_ports import free_port

from .postgres_server import postgres
from .repository import ROOT

COMPOSE = ROOT / "ops" / "compose" / "mlflow.yaml"
RIGHTS = ROOT / "gitops" / "platform" / "mlflow" / "mlflow-auth.ini"  # of Compose and of a cluster
_START_SECONDS = 240.0  # 15 on a quiet machine: two workers, and Postgres' tables


@dataclass(frozen=True)
class TeamMlflow:
    url: str
    passwords: dict[str, str]
    """User -> password. `admin`; `releaser`, whose releases these are; `reader`, who looks."""

    def log_in(self, monkeypatch: pytest.MonkeyPatch, user: str) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", self.passwords[user])


@pytest.fixture(scope="session")
def team_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamMlflow]:
    from nexus_release.local.processes import Process, wait_answering

    folder, port = tmp_path_factory.mktemp("team-mlflow"), free_port()
    secret = passwords(folder / "mlflow.env")
    with postgres("mlflow", secret["POSTGRES_PASSWORD"], "mlflow") as database:
        program = _program(folder, port, database, secret)
        with Process.start(program, folder / "server.log") as server:
            url = f"http://127.0.0.1:{port}"
            wait_answering(server, f"{url}/health", _START_SECONDS)
            known = {"admin": secret["MLFLOW_AUTH_ADMIN_PASSWORD"]}
            for user in ("releaser", "reader"):
                known[user] = f"{user}-password-of-a-test"
                _create(url, known["admin"], user, known[user])
            yield TeamMlflow(url, known)


def passwords(file: Path) -> dict[str, str]:
    """As the script beside the Compose file makes them."""
    script = COMPOSE.with_name("passwords.py")
    subprocess.run([sys.executable, str(script), str(file)], check=True, capture_output=True)
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"][name]
    return found


def _program(folder: Path, port: int, database: int, secret: dict[str, str]) -> Any:
    from nexus_release.local.processes import Program

    compose = service("mlflow")
    ours = {
        "0.0.0.0": "127.0.0.1",
        "5000": str(port),
        "/mlflow/artifacts": str(folder / "artifacts"),
        "mlflow": f"{Path(sys.executable).with_name('mlflow')}",
    }
    rights = folder / "mlflow-auth.ini"
    rights.write_text(RIGHTS.read_text().replace("/mlflow/users.db", f"{folder}/users.db"))
    environment = {}
    for name, value in compose["environment"].items():
        for variable, known in secret.items():
            value = value.replace(f"${{{variable}}}", known)
            value = known if value.startswith(f"${{{variable}:?") else value
        environment[name] = value.replace("+psycopg2:", "+psycopg:").replace("@postgres:5432", f"@127.0.0.1:{database}")
    environment |= {"MLFLOW_AUTH_CONFIG_PATH": str(rights), "PYTHONDONTWRITEBYTECODE": ""}
    return Program("mlflow", tuple(ours.get(word, word) for word in compose["command"]), environment)


def _create(url: str, admin: str, user: str, password: str) -> None:
    answer = httpx.post(
        f"{url}/api/2.0/mlflow/users/create",
        json={"username": user, "password": password},
        auth=("admin", admin),
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
