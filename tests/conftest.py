"""What holds for every test: fixtures that start something once for the session, how properties are tested, and how
long an answer is waited for.

Hypothesis sees the same examples on every run, and has no deadline, since a loaded machine is no fault.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import httpx
import pytest
from hypothesis import settings

pytest_plugins = ["tests.support.mlflow_server", "tests.support.team_mlflow"]

settings.register_profile("nexus", deadline=None, derandomize=True)
settings.load_profile("nexus")

SECONDS = 60.0
"""For which httpx waits where a test does not say for how long: by itself 5, which a loaded machine may take."""
_patience = inspect.signature(httpx.Client).parameters["timeout"].default
_patience.connect = _patience.read = _patience.write = _patience.pool = SECONDS


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """tests/gpu is collected where it is asked for by its path alone (`make gpu`)."""
    if collection_path != Path(__file__).parent / "gpu":
        return None
    return not any("gpu" in Path(word).parts for word in config.args) or None
