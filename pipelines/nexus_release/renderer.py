"""Renders and checks a clone with the clone's own code, so that an older checkout never undoes a newer renderer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from nexus_release.errors import NexusError

_SECONDS = 120.0


def render_with_own_code(clone: Path, *environments: str) -> None:
    """Writes the rendered tree of each environment (all, where none is named). Raises NexusError with its words."""
    _run(clone, "render", *environments, "--root", str(clone))


def check_with_own_code(before: Path, after: Path, environment: str) -> None:
    """Raises NexusError that lists why the change may not land."""
    _run(after, "check", str(before), str(after), "--env", environment)


def _run(clone: Path, *words: str) -> None:
    code = clone / "pipelines"
    if not (code / "nexus_release").is_dir():
        raise NexusError(f"{clone.name}: main holds no pipelines/nexus_release, so nothing there can render it")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "nexus_release.cli", *words],
        env={**os.environ, "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"},  # no __pycache__ in the clone
        cwd=clone,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    if done.returncode:
        raise NexusError((done.stderr or done.stdout).strip().removeprefix("nexus: "))
