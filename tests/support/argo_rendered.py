"""What workflows/release_hera.py renders, as objects."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from .client import installed
from .repository import ROOT

PYTHON = ROOT / ".venv-hera" / "bin" / "python"
SCRIPT = ROOT / "workflows" / "release_hera.py"


def committed(environment: str = "dev") -> list[dict[str, Any]]:
    return _objects(ROOT, environment)


def rendered(root: Path, environment: str, releases: str = "[]") -> list[dict[str, Any]]:
    """Anew, from the settings below `root`. Skips where `make setup-hera` has not been run."""
    installed(PYTHON, "setup-hera")
    (root / "workflows").mkdir(exist_ok=True)
    (root / "workflows" / "releases.yaml").write_text(releases)
    done = subprocess.run([PYTHON, SCRIPT, "--root", root, environment], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return _objects(root, environment)


def _objects(root: Path, environment: str) -> list[dict[str, Any]]:
    files = sorted((root / "workflows" / environment).glob("*.yaml"))
    return [yaml.safe_load(path.read_text()) for path in files if path.name != "kustomization.yaml"]
