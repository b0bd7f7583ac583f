"""Runs an environment's policy tests by the gateway's own program, for policies mean what the gateway makes of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from nexus_release.history import routes_folder
from nexus_release.policies import policies_path

_SECONDS = 120.0
_BROKEN = ("--mutants", "policies")  # a policy that could be broken without any test noticing is not tested


def policy_test_faults(root: Path, environment: str) -> Iterator[str]:
    """Nothing where the environment has neither. Closed: policies without tests, or without the program that runs
    them, are a fault."""
    tests = root / "environments" / environment / "policy-tests.yaml"
    if not tests.is_file():
        if (root / policies_path(environment)).exists():
            yield f"{environment} has policies, and no policy-tests.yaml that holds them"
        return
    program = shutil.which("nexus-gateway", path=str(Path(sys.executable).parent)) or shutil.which("nexus-gateway")
    if program is None:
        yield "nexus-gateway is not installed here, and it is what runs them"
        return
    try:
        done = subprocess.run(
            [program, "policy-test", str(root / routes_folder(environment)), "--tests", str(tests), *_BROKEN],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        yield f"they have not ended within {_SECONDS:g} s"
        return
    if done.returncode:
        yield from (done.stdout + done.stderr).strip().splitlines() or [f"policy-test ended with {done.returncode}"]
