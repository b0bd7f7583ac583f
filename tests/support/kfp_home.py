"""Kubeflow Pipelines' local runner in a folder: what it is asked, where the steps work, and what it leaves."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .client import installed
from .repository import ROOT

BIN = ROOT / ".venv-kfp" / "bin"
NEXUS = ROOT / ".venv" / "bin" / "nexus"
PROGRAM = ROOT / "pipelines" / "release_kfp.py"
_SECONDS = 800


@dataclass(frozen=True)
class KfpRun:
    status: int
    said: str
    folder: Path
    """One folder for each task, with an artifact or a parameter in each file."""
    summary: Path

    @property
    def tasks(self) -> set[str]:
        """Those that ended well; a branch's number is KFP's own."""
        done = self.folder.glob("*/executor_output.json")
        return {path.parent.name.partition("-")[0] for path in done}

    def outcome(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.summary.read_bytes())
        return found

    def left(self, task: str) -> dict[str, Any]:
        """What the task has told KFP: parameters, artifacts and their metadata."""
        found: dict[str, Any] = json.loads((self.folder / task / "executor_output.json").read_bytes())
        return found


class KfpHome:
    """Skips the test where `make setup-kfp` has not been run."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        installed(BIN / "python", "setup-kfp")
        self.folder = folder
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        self.environment = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(folder),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONWARNINGS": "error",
            "NEXUS_BIN": str(NEXUS),
            "NEXUS_WORK": (folder / "work").as_uri(),
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
            "NEXUS_REMOTE": os.environ.get("NEXUS_REMOTE", ""),
            **variables,
        }

    def call(self, *words: str | Path, seconds: float = _SECONDS) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BIN / "python", PROGRAM, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def run(self, spec: Path, root: Path = ROOT, seconds: float = _SECONDS) -> KfpRun:
        """A release by the local runner, to its end."""
        return self.run_of(self.params(spec, root), seconds)

    def params(self, spec: Path, root: Path = ROOT) -> Path:
        """The file with what the release is asked for."""
        path = self.folder / "params.json"
        words = [NEXUS, "params", spec, "--root", root, "--out", path]
        subprocess.run(words, env={**os.environ, **self.environment}, check=True)
        return path

    def run_of(self, params: Path, seconds: float = _SECONDS) -> KfpRun:
        into = self.folder / "pipeline"
        ended = self.call("run", params, "--into", into, seconds=seconds)
        work = Path(urlsplit(self.environment["NEXUS_WORK"]).path)
        # One for each set of parameters, which say what main's stable release was made of.
        summary = max(work.glob("runs/*/summary.json"), key=lambda path: path.stat().st_mtime)
        folder = max(into.iterdir(), key=lambda path: path.name)  # KFP names each run by its time
        return KfpRun(ended.returncode, ended.stdout + ended.stderr, folder, summary)
