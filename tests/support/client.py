"""A client's program in a process of its own, in the environment where the client is installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .followed import BESIDE
from .gateway import Gateway
from .repository import ROOT

PYTHON = ROOT / ".venv-clients" / "bin" / "python"
SCRIPTS = ROOT / "tests" / "clients"
PAGE = "docs/how-to/use-any-client.md"
NODE_MODULES = SCRIPTS / "node" / "node_modules"


@dataclass(frozen=True)
class Told:
    printed: str
    """By the page's snippet."""
    facts: dict[str, Any]
    """On the last line."""


def ask(gateway: Gateway, *command: str | Path, cwd: Path = ROOT) -> Told:
    """Knows the gateway and its key by the variables that the page exports, and nothing else."""
    exported = BESIDE["tests/clients/test_clients.py"][PAGE].script(PAGE, {"http://127.0.0.1:8000": gateway.url})
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(cwd),
        **dict(re.findall(r"(\w+)=(\S+)", exported)),
        "LITELLM_LOCAL_MODEL_COST_MAP": "true",  # else LiteLLM asks the internet for prices as it is imported
    }
    ended = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stderr + ended.stdout
    printed, _, facts = ended.stdout.rstrip("\n").rpartition("\n")
    return Told(printed.strip(), json.loads(facts))


def installed(path: Path, target: str = "services setup-clients") -> None:
    """Skips where `make TARGET` has not made `path`, and fails where CI must have it."""
    if path.exists():
        return
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    mend = f"{shown} is not there: run `make {target}`"
    if os.environ.get("CI") == "true":
        pytest.fail(mend)
    pytest.skip(mend)
