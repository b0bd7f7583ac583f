"""Renders and checks a clone with the clone's own code, so that an older checkout never undoes a newer renderer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from nexus_release.errors import NexusError
from nexus_release.wiring import without_secrets

_SECONDS = 120.0  # a tree of a hundred models renders in a second


def render_with_own_code(clone: Path, *environments: str) -> None:
    """Writes the rendered tree of each environment (all, where none is named). Raises NexusError with its words."""
    _run(clone, "render", *environments, "--root", str(clone))


def check_with_own_code(before: Path, after: Path, environment: str) -> None:
    """Raises NexusError that lists why the change may not land."""
    check_by(after, before, after, environment)


def check_by(code: Path, before: Path, after: Path, environment: str) -> None:
    """The same by the code of the tree `code`: of main, where main judges a branch."""
    _run(code, "check", str(before), str(after), "--env", environment)


def fresh_by(code: Path, root: Path, *environments: str) -> None:
    """Raises NexusError that lists what is not as the sources render it."""
    _run(code, "render", *environments, "--check", "--root", str(root))


def _run(clone: Path, *words: str) -> None:
    code = clone / "pipelines"
    if not (code / "nexus_release" / "cli.py").is_file():
        raise NexusError("main holds no pipelines/nexus_release/cli.py, and its own code is what renders it")
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "nexus_release.cli", *words],
            env={
                **without_secrets(os.environ),
                "PYTHONPATH": str(code),
                "PYTHONDONTWRITEBYTECODE": "1",  # no __pycache__ in the clone
            },
            cwd=clone,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise NexusError(f"nexus {words[0]}: main's own code has not ended within {_SECONDS:g} s") from None
    if done.returncode:
        raise NexusError((done.stderr or done.stdout).strip().removeprefix("nexus: "))
