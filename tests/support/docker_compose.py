"""Docker Compose as it reads our files. Nothing is started, so no engine need be there."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from .repository import ROOT

FOLDER = ROOT / "ops" / "compose"
STACK = FOLDER / "stack.sh"


def require_compose() -> None:
    """A skip where there is no Compose, a failure where CI must have it."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        if os.environ.get("CI") == "true":
            pytest.fail("docker compose is not here: run `make services`")
        pytest.skip("docker compose is not here (`make services` installs it)")


@dataclass(frozen=True)
class Composed:
    """What `docker compose config` said."""

    done: subprocess.CompletedProcess[str]

    @cached_property
    def _document(self) -> dict[str, Any]:
        assert self.done.returncode == 0, self.done.stderr
        read: dict[str, Any] = json.loads(self.done.stdout)
        return read

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self._document["services"]
        return found

    @property
    def name(self) -> str:
        return str(self._document["name"])

    @property
    def networks(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self._document["networks"]
        return found


def stack(state: Path, **variables: str) -> Composed:
    """Of `ops/compose/stack.sh`, with its passwords in `state`, and no variable of ours but those given."""
    require_compose()
    return Composed(run_stack(state, "config", "--format", "json", **variables))


def run_stack(state: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    environment: Mapping[str, str] = {**clean, "NEXUS_COMPOSE_STATE": str(state), **variables}
    return subprocess.run(["sh", STACK, *words], env=environment, capture_output=True, text=True, check=False)
