"""What holds for every test: fixtures that start something once for the session, and how properties are tested.

Hypothesis sees the same examples on every run, and has no deadline, since a loaded machine is no fault.
"""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["tests.support.mlflow_server", "tests.support.team_mlflow"]

settings.register_profile("nexus", deadline=None, derandomize=True)
settings.load_profile("nexus")
