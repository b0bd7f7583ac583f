"""A canary that is stepped by a clock that we turn, on a real remote."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nexus_release.adapters.git import GitRepository
from nexus_release.adapters.git_calls import _FIXED
from nexus_release.canary.step import Stepped, step
from nexus_release.errors import NexusError
from nexus_release.names import model_slug
from nexus_release.plan import Plan, admitted, plan_path, read_plan, shifted

from .canary_traffic import SAME, Behaviour, MadeUpFigures
from .releases import make_pointer, make_record
from .remotes import Remote, plant_house

MODEL = "acme/Llama-4:8B@chat"
SLUG = model_slug(MODEL)
PLAN = plan_path("local", MODEL)
ONE, TWO = (make_pointer(make_record(MODEL, seed)) for seed in (1, 2))
ENTERED = admitted(admitted(None, MODEL, ONE), MODEL, TWO)
ENOUGH = timedelta(minutes=20)
"""For a step at any weight."""


def plant_canary(folder: Path) -> Remote:
    """Two releases, the second one a canary at weight 0."""
    remote = Remote(folder, plant_house)
    for seed in (1, 2):
        remote.record(make_record(MODEL, seed))
    remote.plan(admitted(None, MODEL, ONE))
    remote.plan(ENTERED)
    return remote


class Walk:
    """Commits have the clock's time, too."""

    def __init__(self, remote: Remote, canary: Behaviour, patch: pytest.MonkeyPatch, at: datetime) -> None:
        self.remote, self.figures, self.patch = remote, MadeUpFigures(canary), patch
        self.repository = GitRepository(str(remote.path))
        self.turn(at)

    def turn(self, to: datetime) -> None:
        self.clock = to
        self.patch.setitem(_FIXED, "GIT_COMMITTER_DATE", to.isoformat())
        self.patch.setenv("GIT_COMMITTER_DATE", to.isoformat())

    def step(self, after: timedelta = timedelta(minutes=3), *, dry: bool = False) -> Stepped:
        """So long after the last commit."""
        canary = self.plan.canary
        self.figures.weight = canary.weight if canary else 0
        began = self.clock
        self.turn(began + after)
        try:
            stepped = step(self.repository, lambda: self.figures, "local", MODEL, self.clock, dry=dry)
        except NexusError:
            self.turn(began)
            raise
        if stepped.landed is None:
            self.turn(began)
        return stepped

    def set(self, weight: int) -> None:
        """As a person does it."""
        self.remote.plan(shifted(ENTERED, TWO.release, weight))

    @property
    def plan(self) -> Plan:
        self.remote.pull()
        plan = read_plan(self.remote.clone, "local", MODEL)
        assert plan is not None
        return plan


def starting(planted: Remote, folder: Path, patch: pytest.MonkeyPatch) -> Callable[..., Walk]:
    """Makes a walk on a copy of the remote, at a weight that a person has set."""

    def start(canary: Behaviour = SAME, weight: int | None = None) -> Walk:
        way = Walk(Remote.copied(planted, folder), canary, patch, datetime.now(UTC) + timedelta(hours=1))
        if weight is not None:
            way.set(weight)
        return way

    return start
