"""Decides what to do, without doing it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nexus_release.local.desired import DesiredEngine


@dataclass(frozen=True)
class Plan:
    start: tuple[DesiredEngine, ...]
    keep: tuple[DesiredEngine, ...]
    stop: tuple[DesiredEngine, ...]


def plan(desired: Iterable[DesiredEngine], running: Iterable[DesiredEngine]) -> Plan:
    """A service whose definition changed is started and stopped: the new process answers before the old one goes."""
    wanted, there = set(desired), set(running)

    def ordered(engines: set[DesiredEngine]) -> tuple[DesiredEngine, ...]:
        return tuple(sorted(engines, key=lambda engine: engine.service))

    return Plan(start=ordered(wanted - there), keep=ordered(wanted & there), stop=ordered(there - wanted))
