"""Compares the quantized model with its base on held-out rows; the gate is non-inferiority."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nexus_release.digests import Digest, digest_json
from nexus_release.errors import BadInput
from nexus_release.frozen import Artifact, Frozen
from nexus_release.ports import RowScore
from nexus_release.quality import Comparison, compare, finite
from nexus_release.record import decimal
from nexus_release.steps.train import read_rows
from nexus_release.wiring import Tools

COMPUTE_TYPE = "float32"
"""Of both models: what their files hold, without rounding of the engine's own."""


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
    """A checkpoint that does not load, or gives no numbers, is refused by the gate: `accepted=False`."""
    texts = [_text(row) for row in read_rows(tools.store.get(given.dataset) / "holdout.jsonl")[: given.gate.max_rows]]
    base = tools.evaluator.score(tools.store.get(given.base.digest), texts, compute_type=COMPUTE_TYPE)
    try:
        candidate = tools.evaluator.score(tools.store.get(given.artifact.digest), texts, compute_type=COMPUTE_TYPE)
    except BadInput as error:
        return _outcome(given, tools, texts, base, (), f"the quantized checkpoint does not load: {error.mend}")
    if [len(score.choices) for score in candidate] != [len(score.choices) for score in base]:
        return _outcome(given, tools, texts, base, (), "the quantized checkpoint splits texts into other tokens")
    if not finite(candidate):
        return _outcome(
            given, tools, texts, base, (), "the quantized checkpoint gives probabilities that are no numbers"
        )
    found = compare(
        base, candidate, confidence=given.gate.confidence, resamples=given.gate.resamples, seed=given.gate.seed
    )
    metrics = hold(found, given.gate)
    failed = [f"{m.name} {m.low} to {m.high}, bound {m.bound}" for m in metrics if not m.passed]
    return _outcome(
        given, tools, texts, base, metrics, f"not as good as its base: {'; '.join(failed)}" if failed else ""
    )


def hold(found: tuple[Comparison, Comparison], gate: QualityGate) -> tuple[Metric, ...]:
    """Non-inferiority: the bad end of each interval is held against its bound."""
    perplexity, agreement = found
    return (
        _metric(perplexity, gate.max_perplexity_increase, perplexity.high <= gate.max_perplexity_increase),
        _metric(agreement, gate.min_agreement, agreement.low >= gate.min_agreement),
    )


def _metric(found: Comparison, bound: float, passed: bool) -> Metric:
    return Metric(
        name=found.name,
        base=decimal(found.base),
        candidate=decimal(found.candidate),
        difference=decimal(found.difference),
        low=decimal(found.low),
        high=decimal(found.high),
        bound=decimal(bound),
        passed=passed,
    )


def _outcome(
    given: EvaluateIn,
    tools: Tools,
    texts: Sequence[str],
    base: Sequence[RowScore],
    metrics: tuple[Metric, ...],
    refusal: str,
) -> EvaluateOut:
    return EvaluateOut(
        suite=digest_json({"rows": list(texts), "scored": "teacher-forced, every next token of every row"}),
        engine=tools.evaluator.engine,
        base_compute_type=COMPUTE_TYPE,
        compute_type=COMPUTE_TYPE,
        rows=len(texts),
        tokens=sum(len(score.choices) for score in base),
        metrics=metrics,
        accepted=not refusal,
        reason=refusal or "as good as its base within the bounds",
    )


def _text(row: Mapping[str, Any]) -> str:
    """The row as the model has seen rows in training."""
    return "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in row["messages"])
