"""The engines that run a release, behind one signature: each is given what is asked for, and runs it to its end."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..support.airflow_home import NEXUS, AirflowHome
from ..support.argo import Argo
from ..support.argo_rendered import rendered
from ..support.kfp_home import KfpHome


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


def on_kfp(asked: Asked) -> None:
    """By its local runner."""
    run = KfpHome(asked.folder, {**asked.variables, "NEXUS_BIN": str(asked.nexus)}).run(asked.spec, asked.root)
    assert run.status == 0, run.said


def on_argo(asked: Asked) -> None:
    """Rendered from the settings of `root`, with the registry that there is here."""
    root, image = asked.folder / "root", asked.folder / "image"
    shutil.copytree(asked.root / "environments", root / "environments")
    settings = root / "environments" / "local" / "settings.yaml"
    own = {**yaml.safe_load(settings.read_text()), "pods": {"registry": asked.variables["MLFLOW_TRACKING_URI"]}}
    settings.write_text(yaml.safe_dump(own))
    image.mkdir()
    (image / "nexus").symlink_to(asked.nexus)
    claim = Path(asked.variables["NEXUS_WORK"].removeprefix("file://"))
    claim.mkdir(exist_ok=True)
    cluster = Argo(
        rendered(root, "local"),
        asked.folder / "pods",
        {"nexus-models": claim},
        secrets(asked.variables["NEXUS_REMOTE"]),
        f"{image}{os.pathsep}{os.defpath}",
    )
    run = cluster.submit(
        "nexus-release", asked.folder.name, params=params(asked.spec, asked.root, "local", asked.variables)
    )
    assert run.phase == "Succeeded", run.logs


def params(spec: Path, root: Path, environment: str, variables: Mapping[str, str]) -> str:
    words = ["params", spec, "--env", environment, "--root", root]
    done = subprocess.run([NEXUS, *words], env={**os.environ, **variables}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def secrets(remote: str) -> Mapping[str, Mapping[str, str]]:
    """Those that environments/base.yaml names."""
    return {
        "nexus-git": {"NEXUS_REMOTE": remote},
        "nexus-git-push": {"NEXUS_PUSH_REMOTE": remote},
        "nexus-mlflow": {"MLFLOW_TRACKING_USERNAME": "release", "MLFLOW_TRACKING_PASSWORD": "secret"},
        "nexus-hub": {"HF_TOKEN": "token"},
        "nexus-signing": {"NEXUS_SIGNING_KEY": ""},  # a key of the claim's own, as on a laptop
    }


ENGINES: Mapping[str, Callable[[Asked], None]] = {
    "laptop": on_a_laptop,
    "kfp": on_kfp,
    "argo": on_argo,
    "airflow": on_airflow,
}
