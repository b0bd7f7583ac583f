"""Where the demo plays: one state folder, one checkout, one cluster that is stopped at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nexus_release.data_declaration import Declaration
from nexus_release.local.control import ensure_up, running, take_down
from nexus_release.local.paths import state_folder
from nexus_release.local.state import LocalState
from nexus_release.spec import ReleaseSpec
from nexus_release.steps.quantize import QuantizeRecipe
from nexus_release.steps.train import TrainRecipe
from nexus_release.wiring import Connections, Tools

MODEL = "pydoc-chat"
DATA = Declaration(
    owner="the team that runs Nexus",
    source="docstrings of Python's standard library",
    licence="PSF-2.0",
    purposes=("demonstration",),
    contains_personal_data=False,
    delete_after=None,
    access=("local", "dev", "staging", "prod"),
)
"""As `pipelines/specs/pydoc-chat.yaml` has it."""


@dataclass(frozen=True)
class Scale:
    """How much of everything: the demo proper, or the short form that tests run."""

    spec: ReleaseSpec
    questions: int


def full_scale() -> Scale:
    return Scale(ReleaseSpec(model=MODEL, dataset="", data=DATA, quantize=QuantizeRecipe(scheme="W8A8")), questions=300)


def short_scale() -> Scale:
    """The same shapes and gates; training is cut to what keeps the gate's figures meaningful."""
    train = TrainRecipe(steps=60, hidden=128, intermediate=256, layers=2, heads=4, kv_heads=2)
    return Scale(ReleaseSpec(model=MODEL, dataset="", data=DATA, train=train), questions=200)


@dataclass
class Stage:
    root: Path
    """The checkout; nothing is written to it."""
    state: Path
    """`.nexus`, absolute."""
    scale: Scale
    tools: Tools
    names: dict[str, str] = field(default_factory=dict)
    """Release id -> what the story calls it."""

    def raise_cluster(self) -> LocalState:
        """Starts the cluster, or finds the one that runs; from then on the tools know where its registry is."""
        up = ensure_up(self.state, self.root)
        self.tools = Tools(self.tools.connections.model_copy(update={"registry": up.registry}))
        return up

    @property
    def gateway(self) -> str:
        up = running(self.state)
        return up.gateway if up else ""

    def addresses(self) -> list[str]:
        """Where to go while it stays up."""
        up = running(self.state)
        if up is None:
            return []
        return [f"gateway  {up.gateway}  key dev-key", f"MLflow   {up.registry}", "stop it  make down"]

    def name(self, release: str) -> str:
        return self.names.get(release, release[:12] or "nobody")


@contextmanager
def open_stage(root: Path, scale: Scale, *, stay: bool) -> Iterator[Stage]:
    """The cluster goes with the stage, unless it was up before or is asked to stay."""
    state = state_folder(os.environ)
    tools = Tools(Connections.from_environment(state=state))
    was_up = running(state) is not None
    try:
        yield Stage(root, state, scale, tools)
    except BaseException:
        if not was_up:
            take_down(state)
        raise
    if not stay and not was_up:
        take_down(state)
