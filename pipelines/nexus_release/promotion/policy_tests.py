"""Runs an environment's policy tests by the gateway's own program, for policies mean what the gateway makes of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_SECONDS = 120.0


def policy_test_faults(root: Path, environment: str) -> Iterator[str]:
    """Nothing where the environment has no policies or no tests of them. Closed: a program that is missing is a
    fault."""
    folder = root / "environments" / environment
    if not all((folder / name).is_file() for name in ("policies.yaml", "policy-tests.yaml")):
        return
    program = shutil.which("nexus-gateway", path=str(Path(sys.executable).parent)) or shutil.which("nexus-gateway")
    if program is None:
        yield "nexus-gateway is not installed here, and it is what runs them"
        return
    try:
        done = subprocess.run(
            [program, "policy-test", environment, "--root", str(root)], capture_output=True, text=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        yield f"they have not ended within {_SECONDS:g} s"
        return
    if done.returncode:
        yield from (done.stdout + done.stderr).strip().splitlines() or [f"policy-test ended with {done.returncode}"]
