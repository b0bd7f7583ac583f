"""`releases.yaml`: what Argo Workflows releases by the clock."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints

from nexus_release.documents import parse_yaml, validated
from nexus_release.frozen import Frozen
from nexus_release.names import EnvironmentName, Line

_FIELD = r"[0-9A-Za-z*?][0-9A-Za-z*?,/-]*"
Cron = Annotated[str, StringConstraints(pattern=rf"^({_FIELD}( {_FIELD}){{4}}|@(hourly|daily|weekly|monthly|yearly))$")]
"""Argo takes a schedule that is none without a word, and then never runs it."""


class Entry(Frozen):
    """One CronWorkflow."""

    spec: Line
    """Path of the release file on the remote's main, where each run reads it."""
    environment: EnvironmentName
    schedule: Cron
    """In UTC."""
    dataset: Line = ""
    """URI that stands in for the file's `dataset`; {day} in it is the run's day, as 2026-03-02."""


class _Entries(Frozen):
    releases: tuple[Entry, ...]


def read_entries(path: Path) -> tuple[Entry, ...]:
    """Raises BadInput that names the field."""
    document = {"releases": parse_yaml(path.read_bytes(), path.name) or ()}
    return validated(_Entries, document, lambda _: path.name).releases
