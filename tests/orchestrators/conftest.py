"""Fixtures of the orchestrators' tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ..support.airflow_home import AirflowHome

MakeHome = Callable[..., AirflowHome]


@pytest.fixture(scope="session")
def airflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("airflow-database") / "airflow.db"


@pytest.fixture
def airflow(tmp_path: Path, airflow_database: Path) -> MakeHome:
    """Makes an Airflow whose releases.yaml holds the given entries; the keywords are variables."""

    def make(*entries: Mapping[str, Any], **variables: str) -> AirflowHome:
        return AirflowHome(tmp_path, entries, variables).migrated(airflow_database)

    return make


def bad_spec(folder: Path, model: str = "chat") -> Path:
    """A release that the first gate refuses, in a second."""
    (folder / f"{model}.jsonl").write_text("no JSON\n" * 10)
    path = folder / f"{model}.yaml"
    path.write_text(json.dumps({"model": model, "dataset": str(folder / f"{model}.jsonl")}))
    return path
