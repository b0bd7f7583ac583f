"""A release on Argo Workflows: the rendered YAML is run (tests/support/argo.py), and leaves what a laptop does."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nexus_release.graph import NODES

from ..support.argo import Argo
from ..support.argo_rendered import committed
from ..support.repository import ROOT
from .conftest import NEXUS, bad_spec, on_the_laptop

IMAGE = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.defpath}"
Object = dict[str, Any]


def asked(spec: Path, environment: str = "dev", root: Path = ROOT) -> str:
    return subprocess.run(
        [NEXUS, "params", spec, "--env", environment, "--root", root], check=True, capture_output=True, text=True
    ).stdout.strip()


def argo(
    folder: Path,
    objects: Iterable[Object],
    *,
    remote: str = "/nowhere",
    image: str = IMAGE,
    **secrets: Mapping[str, str],
) -> Argo:
    """Its claim is `folder / work`."""
    (folder / "work").mkdir(exist_ok=True)
    known: dict[str, Mapping[str, str]] = {
        "nexus-git": {"NEXUS_REMOTE": remote},
        "nexus-git-push": {"NEXUS_PUSH_REMOTE": remote},
        "nexus-mlflow": {"MLFLOW_TRACKING_USERNAME": "release", "MLFLOW_TRACKING_PASSWORD": "secret"},
        "nexus-hub": {"HF_TOKEN": "token"},
    }
    return Argo(objects, folder / "pods", {"nexus-models": folder / "work"}, {**known, **secrets}, image)


def summary_of(folder: Path) -> Path:
    (path,) = (folder / "work" / "runs").glob("*/summary.json")
    return path


def test_a_refused_release_succeeds_skips_what_follows_and_leaves_the_laptops_summary(tmp_path: Path) -> None:
    spec = bad_spec(tmp_path)
    run = argo(tmp_path, committed()).submit("nexus-release", "refused", params=asked(spec))
    assert run.phase == "Succeeded"
    assert {name: run.phases()[name] for name in NODES} == {
        **dict.fromkeys(NODES, "Omitted"),
        "validate": "Succeeded",
        "train": "Skipped",
    }
    laptop = on_the_laptop(spec, ROOT, {"NEXUS_STATE": str(tmp_path / "laptop")}, "dev")
    assert json.loads(laptop.read_bytes())["outcome"] == "refused"
    assert summary_of(tmp_path).read_bytes() == laptop.read_bytes()
    assert json.loads(run.logs["refused.onExit(0)"]) == json.loads(laptop.read_bytes())
