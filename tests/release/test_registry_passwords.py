"""A registry that asks for a password: who may do what, and what a person is told who may not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from nexus_release.adapters.mlflow_registry import MlflowRegistry
from nexus_release.errors import RegistryRefused

from ..support.docker_compose import require_compose
from ..support.doctor import Doctor
from ..support.repository import ROOT, tracked_files
from ..support.team_mlflow import COMPOSE, RIGHTS, TeamMlflow, passwords, service
from ..support.typed_page import typed
from .test_registry import entry


@pytest.mark.services
def test_without_a_password_it_says_which_variables_to_set(
    team_mlflow: TeamMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    with pytest.raises(RegistryRefused, match="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"):
        MlflowRegistry(team_mlflow.url).aliases()


@pytest.mark.services
def test_the_doctor_asks_by_the_password_that_the_client_has(
    team_mlflow: TeamMlflow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    doctor = Doctor(monkeypatch, capsys, tmp_path)
    verdict, said = doctor.of("MLflow", MLFLOW_TRACKING_URI=team_mlflow.url)
    assert (verdict, "lists no models: 401" in said) == ("fail", True)
    team_mlflow.log_in(monkeypatch, "reader")
    verdict, said = doctor.of("MLflow")
    assert (verdict, "answers, version 3." in said) == ("ok", True)


@pytest.mark.services
def test_a_wrong_password_is_said_by_its_variable_and_is_not_told(
    team_mlflow: TeamMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    team_mlflow.log_in(monkeypatch, "releaser")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "not-the-password")
    with pytest.raises(RegistryRefused) as refused:
        MlflowRegistry(team_mlflow.url).register(entry("refused"))
    assert "MLFLOW_TRACKING_PASSWORD is not the password of releaser" in str(refused.value)
    assert "not-the-password" not in str(refused.value)


@pytest.mark.services
def test_who_may_only_read_reads_and_cannot_register_or_move(
    team_mlflow: TeamMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    team_mlflow.log_in(monkeypatch, "releaser")
    registry = MlflowRegistry(team_mlflow.url)
    made = registry.register(entry("guarded"))
    registry.set_alias("guarded", "prod", 1)
    team_mlflow.log_in(monkeypatch, "reader")
    assert registry.find("guarded", "a" * 64) == made
    assert registry.aliases()["guarded"] == {"prod": 1}
    with pytest.raises(RegistryRefused, match="does not let reader do this: give that user EDIT"):
        registry.register(entry("guarded", "d" * 64))
    for forbidden in (lambda: registry.set_alias("guarded", "prod", 1), lambda: registry.drop_alias("guarded", "prod")):
        with pytest.raises(RegistryRefused, match="does not let reader do this"):
            forbidden()
    assert registry.aliases()["guarded"] == {"prod": 1}


def composed(file: Path) -> subprocess.CompletedProcess[str]:
    """What Compose makes of the file."""
    require_compose()
    command = ["docker", "compose", "--file", str(COMPOSE), "--env-file", str(file), "config", "--format", "json"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_compose_takes_the_file_with_the_passwords_that_the_script_makes(tmp_path: Path) -> None:
    secret = passwords(tmp_path / "mlflow.env")
    done = composed(tmp_path / "mlflow.env")
    assert done.returncode == 0, done.stderr
    services = json.loads(done.stdout)["services"]
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == secret["POSTGRES_PASSWORD"]
    assert secret["POSTGRES_PASSWORD"] in services["mlflow"]["environment"]["MLFLOW_BACKEND_STORE_URI"]
    assert [port["host_ip"] for port in services["mlflow"]["ports"]] == ["127.0.0.1"]
    assert "ports" not in services["postgres"]


def test_compose_refuses_the_file_without_passwords_and_says_how_to_make_them(tmp_path: Path) -> None:
    (tmp_path / "empty.env").touch()
    done = composed(tmp_path / "empty.env")
    assert done.returncode != 0
    assert "run python3 ops/compose/passwords.py" in done.stderr


def test_passwords_are_made_once_for_this_user_alone_and_are_not_in_git(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.env"
    first = passwords(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert all(re.fullmatch(r"[\w-]{43}", value) for value in first.values())
    assert passwords(file) == first
    assert passwords(tmp_path / "another.env") != first
    ignored = subprocess.run(["git", "check-ignore", "-q", "ops/compose/mlflow.env"], cwd=ROOT, check=False)
    assert ignored.returncode == 0
    held = [path.relative_to(ROOT).as_posix() for path in tracked_files() if path.suffix == ".env"]
    assert held == ["ops/compose/images.env", "ops/kind/versions.env"], "which have versions, and no password"


def test_what_the_pages_say_to_type_makes_passwords_and_logs_in(team_mlflow: TeamMlflow, tmp_path: Path) -> None:
    shutil.copytree(COMPOSE.parent, tmp_path / "ops" / "compose", ignore=shutil.ignore_patterns("*.env", "secrets"))
    here = {"http://127.0.0.1:5000": team_mlflow.url, "PASSWORD=...": f"PASSWORD={team_mlflow.passwords['releaser']}"}
    ask = 'curl -sf -u "$MLFLOW_TRACKING_USERNAME:$MLFLOW_TRACKING_PASSWORD" "$MLFLOW_TRACKING_URI'
    then = f'{ask}/api/2.0/mlflow/experiments/search?max_results=1"'
    typed(__file__, "docs/how-to/keep-the-registry-true.md", here, tmp_path, then)
    typed(__file__, "docs/how-to/follow-a-request.md", {}, tmp_path)
    made = {path.name for path in (tmp_path / "ops" / "compose").glob("*.env")}
    assert made == {"mlflow.env", "logging.env"}


def test_nothing_that_is_committed_is_a_password() -> None:
    given = service("mlflow")["environment"] | service("postgres")["environment"]
    secret = {name: value for name, value in given.items() if re.search("PASSWORD|SECRET", name)}
    assert secret
    assert all(value.startswith("${") for value in secret.values())
    assert "admin_password" not in RIGHTS.read_text()
