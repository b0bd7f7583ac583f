"""What the supervisor says about itself, in one file that is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from nexus_release.digests import Digest
from nexus_release.frozen import Frozen
from nexus_release.journal import write_whole
from nexus_release.local.paths import Paths
from nexus_release.local.waiting import wait_until

__all__ = ["EngineState", "LocalState", "Mark", "read_state", "wait_until", "write_state"]


class Mark(Frozen):
    """A process, told apart from a later one with the same number by when it started."""

    name: str
    pid: int
    started: str


class EngineState(Frozen):
    service: str
    """The InferenceService that this process stands for."""
    model: str
    release: str
    artifact: Digest
    address: str
    pid: int
    """0 while it waits to be started again."""


class LocalState(Frozen):
    supervisor: Mark
    children: tuple[Mark, ...] = ()
    """Everything that was started, so that whoever comes after a crash can end it."""
    registry: str
    gateway: str
    """URLs."""
    remote: str
    engine: str = ""
    """NEXUS_ENGINE; empty where each InferenceService's runtime decides."""
    head: str = ""
    """The commit of the remote's main; empty before there is one."""
    applied: str = ""
    """The last commit that was brought up whole: engines ready, routes served, old engines gone, aliases set."""
    serving: str = ""
    """The commit whose routes the gateway serves: `applied`, or later while old engines drain and aliases are set."""
    revision: str = ""
    """What the gateway serves, as it says itself."""
    engines: tuple[EngineState, ...] = ()
    ready: bool = False
    """Everything has started: registry and gateway have answered, and main was applied or could not be."""
    refused: str = ""
    """The commit that was tried and did not come up; trying it again will hardly help."""
    last_problem: str = ""
    """Why `head` is not applied; empty when nothing is wrong."""


def read_state(home: Path) -> LocalState | None:
    """What was said last, or None; the supervisor may have died since."""
    try:
        return LocalState.model_validate_json(Paths(home.absolute()).state.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: written by another version of Nexus
        return None


def write_state(home: Path, state: LocalState) -> None:
    write_whole(Paths(home).state, state.model_dump_json(indent=2) + "\n")
