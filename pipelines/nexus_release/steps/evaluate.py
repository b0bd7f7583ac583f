"""Compares the quantized model with its base on held-out rows; the gate is non-inferiority."""

from __future__ import annotations

from nexus_release.digests import Digest
from nexus_release.frozen import Artifact, Frozen
from nexus_release.wiring import Tools


class QualityGate(Frozen):
    """How much worse than its base a release may be. Each bound is held against the interval's bad end."""

    max_perplexity_increase: float = 0.05
    """Relative: 0.05 allows 5 % more."""
    min_agreement: float = 0.9
    """Share of held-out positions at which both models' most likely next token is the same."""
    confidence: float = 0.95
    resamples: int = 2000
    """Of the paired bootstrap over rows (Efron and Tibshirani 1993, chapter 13: percentile interval)."""
    max_rows: int = 200
    seed: int = 0


class EvaluateIn(Frozen):
    base: Artifact
    artifact: Artifact
    dataset: Digest
    gate: QualityGate


class Metric(Frozen):
    """One measurement of both models; decimal strings of 4 significant digits."""

    name: str
    base: str
    candidate: str
    difference: str
    """Relative for perplexity; for agreement the agreement itself."""
    low: str
    high: str
    bound: str
    passed: bool


class EvaluateOut(Frozen):
    suite: Digest
    """Digest of the held-out rows and of the way they are scored."""
    engine: str
    base_compute_type: str
    compute_type: str
    rows: int
    tokens: int
    metrics: tuple[Metric, ...]
    accepted: bool
    reason: str


def evaluate(given: EvaluateIn, tools: Tools) -> EvaluateOut:
    raise NotImplementedError
