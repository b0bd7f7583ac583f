"""Of a canary's evidence (`gitops/evidence/<env>/<model>/<digest>.json`) what the page shows."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Moments(_Part):
    began: str
    since: str
    until: str


class Test(_Part):
    metric: str
    evidence: str
    threshold: str
    guilty: bool


class Decision(_Part):
    action: str
    weight: int
    reason: str


class Tally(_Part):
    requests: int
    errors: int


class Block(_Part):
    stable: Tally
    canary: Tally


class EvidenceFile(_Part):
    model: str
    stable: str
    canary: str
    weight: int
    moments: Moments
    blocks: tuple[Block, ...]
    tests: tuple[Test, ...]
    decision: Decision
