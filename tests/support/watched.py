"""A model whose live traffic drifts: its remote, its settings, its decision log, and who is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from nexus_release.monitoring.watch import Asked, Watched, watch
from nexus_release.plan import Plan, Pointer
from nexus_release.wiring import Connections, Tools

from .gateway import BIN
from .releases import make_record, plant_environments
from .remotes import Remote
from .repository import ROOT
from .traffic import MODEL, START, at, day, write_log

SETTINGS = {"measuring": {"min_records": 100}, "windows": 3, "cooldown_hours": 72}
QUIET, DRIFT = (7, 8), (9, 10, 11, 12, 13)
"""Days after the reference week, and days of traffic that has moved."""


@dataclass(frozen=True)
class Told:
    """The port `DriftEvents`, which keeps what it is told in a file."""

    path: Path

    def knows(self, model: str, report: str) -> bool:
        return any((one["model"], one["report"]) == (model, report) for one in self.all())

    def tell(self, model: str, extra: Mapping[str, str]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps({"model": model, **extra}) + "\n")

    def all(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []


@dataclass(frozen=True)
class House:
    folder: Path
    remote: Remote
    release: str
    model: str = MODEL

    @classmethod
    def built(cls, folder: Path, model: str = MODEL) -> House:
        """A release that is stable since START, a quiet week, and then traffic that has moved."""
        remote = Remote(folder, plant_environments)
        house = cls(folder, remote, "", model)
        pointer = house.stable(1, at(0))
        shutil.copytree(ROOT / "environments", folder / "root" / "environments")
        for number in (*range(7), *QUIET, *DRIFT):
            write_log(house.log, day(number, pointer.release, longer=2 if number in DRIFT else 1, model=model))
        house.settle()
        return replace(house, release=pointer.release)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def stable(self, seed: int, when: str) -> Pointer:
        """Makes a release the stable one, by a commit of that time."""
        pointer = self.remote.record(make_record(self.model, seed))
        os.environ["GIT_COMMITTER_DATE"] = when
        try:
            self.remote.plan(Plan(model=self.model, stable=pointer), environment="staging")
        finally:
            del os.environ["GIT_COMMITTER_DATE"]
        return pointer

    @property
    def tools(self) -> Tools:
        state = self.folder / "state"
        return Tools(Connections(work=state.as_uri(), registry="", remote=str(self.remote.path)))

    @property
    def told(self) -> Told:
        return Told(self.folder / "told.jsonl")

    def asked(self, number: float) -> Asked:
        return Asked(self.model, "staging", self.folder / "root", self.log, at(number), at(number + 1))

    def look(self, number: float, events: Any = None, **changes: Any) -> Watched:
        return watch(replace(self.asked(number), **changes), self.tools, events or self.told, START)

    def settle(self, **drift: Any) -> None:
        path = self.folder / "root" / "environments" / "staging" / "settings.yaml"
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "drift": {**SETTINGS, **drift}}))

    def command(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "NEXUS_STATE": str(self.folder / "state"), "NEXUS_REMOTE": str(self.remote.path)}
        environment |= variables
        words = ("drift", self.model, "--env", "staging", "--decisions", str(self.log), *words)
        root = str(self.folder / "root")
        return subprocess.run(
            [str(BIN / "nexus"), *words, "--root", root], env=environment, capture_output=True, text=True, timeout=120
        )
