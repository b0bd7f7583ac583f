"""Of a release record (`gitops/releases/<model>/<id>.json`) what the page shows."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Dataset(_Part):
    digest: str
    rows: int


class Artifact(_Part):
    digest: str
    bytes: int


class Figure(_Part):
    name: str
    subject: str = ""
    value: str
    low: str
    high: str
    least: str = ""
    most: str = ""
    base: str = ""
    candidate: str = ""
    passed: bool


class Gate(_Part):
    gate: str
    accepted: bool
    reason: str
    figures: tuple[Figure, ...]


class Content(_Part):
    model: str
    dataset: Dataset
    base: str
    base_source: str
    recipe: dict[str, str]
    artifact: Artifact
    gates: tuple[Gate, ...]


class Observed(_Part):
    registry_uri: str
    run: str
    commit: str
    time: str


class RecordFile(_Part):
    content: Content
    observed: Observed
