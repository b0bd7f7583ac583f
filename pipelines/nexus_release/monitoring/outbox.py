"""Tells of a declared drift once, however often it is tried and wherever a try dies.

An event is known by its report. Before it is sent the other side is asked whether it knows it, after that it is noted:
where a try dies between the two, the next one finds it there and notes it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nexus_release.digests import Digest
from nexus_release.documents import validated_json
from nexus_release.frozen import Frozen
from nexus_release.journal import json_text, write_whole
from nexus_release.monitoring.verdict import Sent
from nexus_release.monitoring.windows import moment
from nexus_release.ports import DriftEvents


class Event(Frozen):
    report: Digest
    at: str
    """When the last window ended that was known."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Waits until nobody else watches the same model; a process that dies lets go of it."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def deliver(folder: Path, events: DriftEvents, model: str, event: Event, extra: dict[str, str]) -> None:
    """Raises what `events` raises; then nothing is noted, and trying again is harmless."""
    if not events.knows(model, event.report):
        events.tell(model, {**extra, **event.model_dump()})
    write_whole(folder / f"{event.report.removeprefix('sha256:')}.json", json_text(event.model_dump()))


def noted(folder: Path) -> list[Sent]:
    found = [validated_json(Event, path.read_bytes(), str(path)) for path in sorted(folder.glob("*.json"))]
    return [Sent(event.report, moment(event.at)) for event in found]
