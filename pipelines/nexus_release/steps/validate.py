"""Holds a dataset against its contract, and splits what is good into train and held-out rows."""

from __future__ import annotations

from nexus_release.digests import Digest
from nexus_release.frozen import Frozen
from nexus_release.names import ModelName
from nexus_release.wiring import Tools


class DataGate(Frozen):
    """When a dataset is good enough to go on with."""

    max_refused_share: float = 0.2
    """Share of rows, 0 to 1, that may break the contract before the release stops."""
    min_rows: int = 1000
    """Rows that must remain."""
    max_characters: int = 4000
    """Length of one message above which a row is over-long."""
    holdout_share: float = 0.05
    """Share of the good rows kept for evaluation, chosen by each row's own hash."""


class ValidateIn(Frozen):
    model: ModelName
    dataset: str
    """URI of JSONL chat rows: a path, `file://`, `s3://`, `http(s)://`."""
    gate: DataGate


class ValidateOut(Frozen):
    source: Digest
    """Digest of the bytes as they were read."""
    dataset: Digest
    """Folder in the store: `train.jsonl`, `holdout.jsonl`, `report.json`."""
    contract: Digest
    rows: int
    """Rows kept, train and held-out together."""
    train_rows: int
    holdout_rows: int
    refused_rows: int
    accepted: bool
    reason: str


def validate(given: ValidateIn, tools: Tools) -> ValidateOut:
    """Raises Missing or Unreachable for the dataset; a gate's no is `accepted=False`."""
    raise NotImplementedError
