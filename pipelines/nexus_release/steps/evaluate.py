"""Compares the quantized model with its base on held-out rows; the gate is non-inferiority."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from nexus_release.digests import Digest, digest_json
from nexus_release.errors import BadInput
from nexus_release.frozen import Artifact, Frozen
from nexus_release.ports import Chat, RowScore
from nexus_release.quality import Comparison, compare, unusable
from nexus_release.record import decimal
from nexus_release.steps.train import read_rows
from nexus_release.wiring import Tools

COMPUTE_TYPE = "float32"
"""Of both models: what their files hold, without rounding of the engine's own."""


_TOKENS = 512  # of each chat; a checkpoint's context may be shorter, then that
_SCORED = f"teacher-forced: the first {_TOKENS} tokens of a chat as the checkpoint's own template writes it"


class QualityGate(Frozen):
    """How much worse than its base a release may be. Each bound is held against the interval's bad end."""

    max_perplexity_increase: float = Field(default=0.05, ge=0)
    """Relative: 0.05 allows 5 % more."""
    min_agreement: float = Field(default=0.9, ge=0, le=1)
    """Share of held-out positions at which both models' most likely next token is the same."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Two-sided: 0.95 leaves 2.5 % at the bad end."""
    resamples: int = Field(default=2000, ge=100, le=10_000)
    """Of the paired bootstrap over rows (Efron and Tibshirani 1993, chapter 13: percentile interval)."""
    max_rows: int = Field(default=200, ge=2, le=2000)
    """Held-out rows that are scored, chosen by their hash."""
    seed: int = Field(default=0, ge=0)


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
    """A checkpoint that does not load, or gives no numbers, is refused by the gate: `accepted=False`.

    Raises BadInput where the base does not load: there is nothing to compare with.
    """
    chats = choose(read_rows(tools.store.get(given.dataset) / "holdout.jsonl"), given.gate.max_rows)
    base = _score(given.base, chats, tools)
    try:
        candidate = _score(given.artifact, chats, tools)
    except BadInput as error:
        return _outcome(chats, base, tools, (), f"the quantized checkpoint does not load: {error.mend}")
    if refusal := incomparable(base, candidate):
        return _outcome(chats, base, tools, (), refusal)
    gate = given.gate
    metrics = hold(compare(base, candidate, confidence=gate.confidence, resamples=gate.resamples, seed=gate.seed), gate)
    failed = [f"{m.name} {m.low} to {m.high}, bound {m.bound}" for m in metrics if not m.passed]
    return _outcome(chats, base, tools, metrics, f"not as good as its base: {'; '.join(failed)}" if failed else "")


def _score(model: Artifact, chats: Sequence[Chat], tools: Tools) -> list[RowScore]:
    path = tools.store.get(model.digest)
    return tools.evaluator.score(path, chats, max_tokens=_TOKENS, compute_type=COMPUTE_TYPE)


def choose(rows: Sequence[Mapping[str, Any]], count: int) -> list[Chat]:
    """The chats with the smallest hashes: a sample that is even over the file, and stays when other rows come."""
    return sorted((row["messages"] for row in rows), key=digest_json)[:count]


def suite_digest(chats: Sequence[Chat]) -> Digest:
    return digest_json({"chats": chats, "scored": _SCORED})


def incomparable(base: Sequence[RowScore], candidate: Sequence[RowScore]) -> str:
    """Why there are no figures to hold against the gate; empty where there are."""
    if reason := unusable(base):
        return f"the base model {reason}"
    if [list(score.tokens) for score in base] != [list(score.tokens) for score in candidate]:
        return "the quantized checkpoint splits texts into other tokens than its base"
    reason = unusable(candidate)
    return f"the quantized checkpoint {reason}" if reason else ""


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
    chats: Sequence[Chat], base: Sequence[RowScore], tools: Tools, metrics: tuple[Metric, ...], refusal: str
) -> EvaluateOut:
    return EvaluateOut(
        suite=suite_digest(chats),
        engine=tools.evaluator.engine,
        base_compute_type=COMPUTE_TYPE,
        compute_type=COMPUTE_TYPE,
        rows=len(chats),
        tokens=sum(len(score.tokens) for score in base),
        metrics=metrics,
        accepted=not refusal,
        reason=refusal or "as good as its base within the bounds",
    )
