"""What holds for every test: fixtures that start something once for the session, and how properties are tested.

Hypothesis sees the same examples on every run, and has no deadline, since a loaded machine is no fault.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["tests.support.mlflow_server", "tests.support.team_mlflow"]

settings.register_profile("nexus", deadline=None, derandomize=True)
settings.load_profile("nexus")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """tests/gpu is collected where it is asked for by its path alone (`make gpu`)."""
    if collection_path != Path(__file__).parent / "gpu":
        return None
    return not any("gpu" in Path(word).parts for word in config.args) or None
