"""`releases.yaml`: what Airflow releases, when, and where the steps run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from nexus_airflow.clusters import Argo, Kfp
from nexus_release.documents import parse_yaml, validated
from nexus_release.frozen import Frozen
from nexus_release.names import EnvironmentName, Line


class Entry(Frozen):
    """One DAG."""

    spec: Line
    """Path of the release file, from the repository's root."""
    environment: EnvironmentName
    schedule: Line | None = None
    """Cron, in UTC. Without it only drift starts a release."""
    dataset: Line | None = None
    """URI that stands in for the file's `dataset`; a template of Airflow's, such as s3://chats/{{ ds }}.jsonl."""
    cluster: Annotated[Argo | Kfp, Field(discriminator="engine")] | None = None
    """Where the steps run. Without it each is a process on the worker."""


class _Entries(Frozen):
    releases: tuple[Entry, ...]


def read_entries(path: Path) -> tuple[Entry, ...]:
    """Raises BadInput that names the field, which Airflow shows as the file's import error."""
    document = {"releases": parse_yaml(path.read_bytes(), path.name) or ()}
    return validated(_Entries, document, lambda _: path.name).releases
