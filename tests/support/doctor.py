"""`nexus doctor` for tests: what it finds, by name, and pages that stand for servers which could not be run here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nexus_release.adapters import service_answers
from nexus_release.dashboards.grafana import DATASOURCE

from .command import Nexus
from .repository import ROOT
from .web import Reply, Web, serve

_NAMED = ("NEXUS_", "MLFLOW_", "KAFKA_", "ELASTIC", "KIBANA_")
Found = dict[str, list[dict[str, str]]]
"""Name -> what was found of it."""
COMPOSE_WELL: Mapping[str, tuple[int, Any]] = {
    "/api/health": (200, {"database": "ok", "version": "11.6.0"}),
    f"/api/datasources/uid/{DATASOURCE}/health": (200, {"status": "OK", "message": "Successfully queried."}),
    "/health": (200, "OK"),
    "/version": (200, "3.17.0"),
    "/api/2.0/mlflow/registered-models/search": (200, {"registered_models": []}),
}
"""What a Grafana and an MLflow that are well answer."""


class Doctor:
    """Of a process that has named nobody, and waits longer than a person would, on a machine that does much else."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str], state: Path) -> None:
        self._nexus, self._monkeypatch = Nexus(monkeypatch, capture), monkeypatch
        for name in [one for one in os.environ if one.startswith(_NAMED)]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("NEXUS_STATE", str(state))
        for name in ("_SECONDS", "_PAGE_SECONDS"):
            monkeypatch.setattr(service_answers, name, 60.0)

    def __call__(self, about: str, *words: str, root: Path = ROOT, **named: str) -> Found:
        """With the variables `named`. The status must be what the findings say."""
        for name, value in named.items():
            self._monkeypatch.setenv(name, value)
        told = self._nexus("doctor", "--json", "--only", about, "--root", str(root), *words)
        (found,) = json.loads(told.out).values()
        assert told.status == int(any(one["verdict"] == "fail" for one in found)), told.err
        assert all(one["mend"] for one in found if one["verdict"] in ("warn", "fail"))
        by_name: Found = {}
        for one in found:
            by_name.setdefault(one["name"], []).append(one)
        return by_name

    def of(self, name: str, **named: str) -> tuple[str, str]:
        """(verdict, what was said) of one name of what runs."""
        (found,) = self("running", **named)[name]
        return found["verdict"], found["said"]


def compose_home(folder: Path) -> None:
    """The environments of a checkout, and the passwords that the first start of Compose makes."""
    compose = folder / "ops" / "compose"
    compose.mkdir(parents=True)
    (folder / "environments").symlink_to(ROOT / "environments")
    for name in ("nexus", "mlflow"):
        script = [sys.executable, ROOT / "ops" / "compose" / "passwords.py", "--of", name, compose / f"{name}.env"]
        subprocess.run(script, check=True, capture_output=True)


@contextmanager
def pages(answers: Mapping[str, tuple[int, Any]]) -> Iterator[Web]:
    """Path -> status and text, or what JSON is made of. Any other path is answered with 404."""

    def answer(path: str) -> Reply:
        status, said = answers.get(path.partition("?")[0], (404, "not found"))
        return Reply((said if isinstance(said, str) else json.dumps(said)).encode(), status)

    with serve(answer) as web:
        yield web
