"""What Git says, what runs here, what the registry says, and where they disagree."""

from __future__ import annotations

import tempfile
from pathlib import Path

from nexus_release import mirror
from nexus_release.aliases import Standing
from nexus_release.errors import NexusError
from nexus_release.frozen import Frozen
from nexus_release.local.control import running
from nexus_release.local.desired import ENVIRONMENT, Desired, read_desired
from nexus_release.local.gateway import served
from nexus_release.local.probes import serves_model
from nexus_release.local.state import EngineState
from nexus_release.wiring import Tools


class SeenEngine(EngineState):
    serves: bool
    """Healthy, and lists its model."""


class Report(Frozen):
    running: bool
    remote: str
    registry: str
    gateway: str
    head: str = ""
    """Of the remote's main, now."""
    applied: str = ""
    last_problem: str = ""
    wanted_revision: str = ""
    """Of the route files at `head`."""
    revision: str = ""
    """What the gateway says that it serves, now."""
    wanted: tuple[str, ...] = ()
    """InferenceServices at `head`."""
    engines: tuple[SeenEngine, ...] = ()
    aliases: tuple[Standing, ...] = ()
    unread: tuple[str, ...] = ()
    """What could not be asked, and why."""


def observe(home: Path, tools: Tools) -> Report:
    """Asks everybody. What does not answer is in `unread`."""
    state = running(home)
    unread: list[str] = []
    desired = _desired(tools, unread)
    said = served(state.gateway) if state else None
    return Report(
        running=state is not None,
        remote=tools.connections.remote,
        registry=tools.connections.registry,
        gateway=state.gateway if state else "",
        head=desired.commit if desired else "",
        applied=state.applied if state else "",
        last_problem=state.last_problem if state else "",
        wanted_revision=desired.revision if desired and desired.routes else "",
        revision=said.revision if said else "",
        wanted=tuple(engine.service for engine in desired.engines) if desired else (),
        engines=tuple(_seen(engine) for engine in state.engines) if state else (),
        aliases=tuple(_aliases(tools, unread)) if state and desired else (),
        unread=tuple(unread),
    )


def disagreements(report: Report) -> list[str]:
    """One sentence each; empty where all say the same."""
    found = list(report.unread)
    if not report.running:
        return [*found, "nothing runs here: run `nexus up`"]
    if not report.head:
        return found
    if report.applied != report.head:
        found.append(f"main is at {report.head[:12]}, applied is {report.applied[:12] or 'nothing'}")
    if report.last_problem:
        found.append(report.last_problem)
    if report.revision != report.wanted_revision:
        serves, wanted = report.revision[:12] or "nothing", report.wanted_revision[:12] or "nothing"
        found.append(f"the gateway serves revision {serves}, main has {wanted}")
    there = {engine.service for engine in report.engines}
    found += [f"{name} is in Git and does not run" for name in report.wanted if name not in there]
    found += [f"{name} runs and is not in Git" for name in sorted(there - set(report.wanted))]
    found += [f"{engine.service} does not answer at {engine.address}" for engine in report.engines if not engine.serves]
    return found + mirror.disagreements(report.aliases)


def _desired(tools: Tools, unread: list[str]) -> Desired | None:
    with tempfile.TemporaryDirectory(prefix="nexus-status-") as folder:
        try:
            return read_desired(Path(folder), tools.repository.checkout(Path(folder)))
        except NexusError as error:
            unread.append(f"main cannot be read: {error}")
            return None


def _seen(engine: EngineState) -> SeenEngine:
    return SeenEngine(**engine.model_dump(), serves=serves_model(engine.address, engine.model))


def _aliases(tools: Tools, unread: list[str]) -> list[Standing]:
    try:
        with tools.repository.history() as history:
            return mirror.standings(history, tools.registry, ENVIRONMENT)
    except NexusError as error:
        unread.append(f"the registry cannot be held against main: {error}")
        return []
