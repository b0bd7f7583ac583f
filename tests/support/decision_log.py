"""Decision logs that a real gateway wrote, the repository that its routes come from, and what `replay` says."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from .gateway import BIN, write_routes
from .repository import ROOT

SCHEMA = Draft202012Validator(json.loads((ROOT / "gateway" / "decision.schema.json").read_text()))
PATH = "gitops/test/gateway/routes.d"


def lines(folder: Path) -> list[dict[str, Any]]:
    """Every line, after holding it against the committed schema."""
    found: list[dict[str, Any]] = []
    for file in sorted(folder.glob("*.jsonl")):
        for text in file.read_text().splitlines():
            found.append(json.loads(text))
            SCHEMA.validate(found[-1])
    return found


@dataclass
class Repository:
    """Route files in Git; `folder` is where the gateway reads them."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / PATH

    def commit(self, files: Mapping[str, Mapping[str, Any]]) -> str:
        """The commit's hash."""
        if not (self.root / ".git").exists():
            self.root.mkdir(parents=True)
            self._git("init", "-q", "-b", "main")
        write_routes(self.folder, files)
        self._git("add", "-A")
        self._git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "routes")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *words: str) -> str:
        done = subprocess.run(["git", "-C", str(self.root), *words], check=True, capture_output=True, text=True)
        return done.stdout


@dataclass(frozen=True)
class Replayed:
    status: int
    told: dict[str, Any]
    err: str


def replay(log: Path, *flags: str | Path) -> Replayed:
    command = [str(BIN / "nexus-gateway"), "replay", str(log), "--json", *map(str, flags)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return Replayed(done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr)
