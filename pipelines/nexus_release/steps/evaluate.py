"""Compares the quantized model with its base through the serving engine; the gate is non-inferiority."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from nexus_release.accuracy import compare_accuracy, picked
from nexus_release.digests import Digest, digest_json
from nexus_release.errors import BadInput
from nexus_release.frozen import Artifact, Frozen
from nexus_release.gates import Bounds, held, keep_evidence, line, objection
from nexus_release.ports import Chat, RowScore
from nexus_release.quality import Comparison, compare, loss, numbers, unusable
from nexus_release.record import Figure, Verdict, decimal
from nexus_release.steps.train import read_rows
from nexus_release.suite import GoldenPrompt, Item, Suite, held_out_task, holds, read_task, suite_document
from nexus_release.wiring import Tools

COMPUTE_TYPE = "float32"
"""Of both models: what their files hold, without rounding of the engine's own."""

_TOKENS = 512  # of each chat; a checkpoint's context may be shorter, then that
_ANSWER_TOKENS = 128  # of the answer to a golden prompt
_LEAST_ROWS = 2  # one row drawn again and again is that row: an interval without width, which proves anything
SCORED = (
    f"rows teacher-forced: the first {_TOKENS} tokens of a chat as the checkpoint's own template writes it; "
    "choices by log-likelihood a character after the question as that template writes it; "
    f"golden prompts greedily, {_ANSWER_TOKENS} tokens at most"
)


class QualityGate(Frozen):
    """How much worse than its base a release may be. Each bound is held against the interval's bad end."""

    max_perplexity_increase: float = Field(default=0.05, ge=0)
    """Relative: 0.05 allows 5 % more."""
    min_agreement: float = Field(default=0.9, ge=0, le=1)
    """Share of held-out positions at which both models' most likely next token is the same."""
    max_accuracy_drop: float = Field(default=0.1, ge=0, le=1)
    """Of each task, absolute: 0.1 allows 10 questions of 100 fewer. What few questions can prove is little: where both
    models answer 100 alike, the interval still ends at 0.037."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Two-sided: 0.95 leaves 2.5 % at the bad end."""
    resamples: int = Field(default=2000, ge=100, le=10_000)
    """Of the paired bootstrap over rows (Efron and Tibshirani 1993, chapter 13: percentile interval)."""
    max_rows: int = Field(default=200, ge=2, le=2000)
    """Held-out rows that are scored, chosen by their hash."""
    max_questions: int = Field(default=100, ge=1, le=20_000)
    """Of each task, likewise."""
    seed: int = Field(default=0, ge=0)


class EvaluateIn(Frozen):
    base: Artifact
    artifact: Artifact
    dataset: Digest
    suite: Suite
    gate: QualityGate


class EvaluateOut(Verdict):
    suite: Digest
    """Digest of everything that was asked, and of the way it is scored."""
    engine: str
    base_compute_type: str
    compute_type: str
    rows: int
    tokens: int


@dataclass(frozen=True)
class Asked:
    """The suite, read and chosen."""

    chats: Sequence[Chat]
    items: Sequence[Item]
    golden: Sequence[GoldenPrompt]
    document: Mapping[str, Any]


@dataclass(frozen=True)
class Marks:
    """What one model has answered."""

    rows: Sequence[RowScore]
    choices: Sequence[int | None]
    """None where its likelihoods are no numbers."""
    answers: Sequence[str]


def evaluate(given: EvaluateIn, tools: Tools) -> EvaluateOut:
    """A checkpoint that does not load, or gives no numbers, is refused by the gate: `accepted=False`.

    Raises BadInput where the base does not load: there is nothing to compare with; for a task file also Missing,
    Unreachable or DigestMismatch.
    """
    asked = _ask(given, tools)
    base = _examine(given.base, asked, tools)
    try:
        candidate = _examine(given.artifact, asked, tools)
    except BadInput as error:
        return _outcome(asked, base, tools, (), {}, f"the quantized checkpoint does not load: {error.mend}")
    if refusal := incomparable(base.rows, candidate.rows) or unasked(asked.items):
        return _outcome(asked, base, tools, (), {}, refusal)
    gate = given.gate
    found = compare(base.rows, candidate.rows, confidence=gate.confidence, resamples=gate.resamples, seed=gate.seed)
    questions, golden = _question_report(asked, base, candidate), _golden_report(asked, base, candidate)
    figures = (*hold(found, gate), *hold_accuracy(questions, gate), *hold_golden(golden))
    report = {"rows": _row_report(asked, base, candidate), "questions": questions, "golden": golden}
    failed = objection(figures)
    return _outcome(asked, base, tools, figures, report, f"not as good as its base: {failed}" if failed else "")


def _examine(model: Artifact, asked: Asked, tools: Tools) -> Marks:
    """One model at a time is in memory."""
    loaded = tools.evaluator.load(tools.store.get(model.digest), compute_type=COMPUTE_TYPE)
    return Marks(
        rows=loaded.score(asked.chats, max_tokens=_TOKENS),
        choices=[
            picked(weights, item.question.choices) if numbers(weights) else None
            for item, weights in zip(asked.items, loaded.weigh([item.question for item in asked.items]), strict=True)
        ],
        answers=loaded.answer(
            [[{"role": "user", "content": golden.prompt}] for golden in asked.golden], max_tokens=_ANSWER_TOKENS
        ),
    )


def _ask(given: EvaluateIn, tools: Tools) -> Asked:
    chats = choose(read_rows(tools.store.get(given.dataset) / "holdout.jsonl"), given.gate.max_rows)
    limit, tasks = given.gate.max_questions, given.suite.tasks
    items = [item for task in tasks for item in read_task(task, tools.datasets.read(task.uri), limit)]
    items = items if tasks else held_out_task(chats, limit)
    golden = given.suite.golden
    return Asked(chats, items, golden, suite_document(chats, items, golden, SCORED))


def choose(rows: Sequence[Mapping[str, Any]], count: int) -> list[Chat]:
    """The chats with the smallest hashes: a sample that is even over the file, and stays when other rows come."""
    return sorted((row["messages"] for row in rows), key=digest_json)[:count]


def incomparable(base: Sequence[RowScore], candidate: Sequence[RowScore]) -> str:
    """Why there are no figures to hold against the gate; empty where there are."""
    if reason := unusable(base):
        return f"the base model {reason}"
    if [list(score.tokens) for score in base] != [list(score.tokens) for score in candidate]:
        return "the quantized checkpoint splits texts into other tokens than its base"
    if reason := unusable(candidate):
        return f"the quantized checkpoint {reason}"
    scored = sum(bool(score.tokens) for score in base)
    return f"{scored} held-out row is no sample: {_LEAST_ROWS} are the least" if scored < _LEAST_ROWS else ""


def unasked(items: Sequence[Item]) -> str:
    """Why accuracy cannot be held; empty where it can."""
    return "" if items else "the held-out rows make no question, for none has another answer: name a task in the suite"


def bounds(gate: QualityGate) -> Mapping[str, Bounds]:
    """By the figure's name. Golden prompts have none that an environment could set: all must hold."""
    return {
        "perplexity": Bounds(most=gate.max_perplexity_increase),
        "agreement": Bounds(least=gate.min_agreement),
        "accuracy": Bounds(least=-gate.max_accuracy_drop),
    }


def hold(found: tuple[Comparison, Comparison], gate: QualityGate) -> tuple[Figure, Figure]:
    """Non-inferiority: the bad end of each interval is held against its bound."""
    perplexity, agreement = found
    return _figure(perplexity, gate), _figure(agreement, gate)


def hold_accuracy(questions: Sequence[Mapping[str, Any]], gate: QualityGate) -> tuple[Figure, ...]:
    """One figure for each task."""
    figures = []
    for task in dict.fromkeys(one["task"] for one in questions):
        base, candidate = (
            [one[side] == one["answer"] for one in questions if one["task"] == task] for side in ("base", "candidate")
        )
        found = compare_accuracy(base, candidate, gate.confidence)
        figures.append(_figure(found, gate, task))
    return tuple(figures)


def hold_golden(golden: Sequence[Mapping[str, Any]]) -> tuple[Figure, ...]:
    """All must hold: what a person has written down as known is no matter of statistics."""
    if not golden:
        return ()
    broken = [one["prompt"] for one in golden if not one["holds"]]
    return (
        held("golden prompts", len(golden) - len(broken), least=len(golden), subject=line("".join(broken[:1]))[:80]),
    )


def _figure(found: Comparison, gate: QualityGate, subject: str = "") -> Figure:
    bound = bounds(gate)[found.name]
    return held(
        found.name,
        found.difference,
        low=found.low,
        high=found.high,
        least=bound.least,
        most=bound.most,
        subject=subject,
        base=decimal(found.base),
        candidate=decimal(found.candidate),
    )


def _question_report(asked: Asked, base: Marks, candidate: Marks) -> list[dict[str, Any]]:
    return [
        {"task": item.task, "answer": item.answer, "base": before, "candidate": after}
        for item, before, after in zip(asked.items, base.choices, candidate.choices, strict=True)
    ]


def _golden_report(asked: Asked, base: Marks, candidate: Marks) -> list[dict[str, Any]]:
    return [
        {"prompt": golden.prompt, "base": before, "candidate": after, "holds": holds(golden, after)}
        for golden, before, after in zip(asked.golden, base.answers, candidate.answers, strict=True)
    ]


def _row_report(asked: Asked, base: Marks, candidate: Marks) -> list[dict[str, str | int]]:
    """Each row's loss in nats a token, so that a person sees which rows suffer."""
    return [
        {
            "row": digest_json(chat),
            "tokens": len(before.tokens),
            "base": decimal(loss(before)),
            "candidate": decimal(loss(after)),
            "same": sum(a == b for a, b in zip(before.choices, after.choices, strict=True)),
        }
        for chat, before, after in zip(asked.chats, base.rows, candidate.rows, strict=True)
    ]


def _outcome(
    asked: Asked,
    base: Marks,
    tools: Tools,
    figures: tuple[Figure, ...],
    report: Mapping[str, Any],
    refusal: str,
) -> EvaluateOut:
    return EvaluateOut(
        accepted=not refusal,
        reason=line(refusal or "as good as its base within the bounds"),
        figures=figures,
        evidence=keep_evidence(tools.store, figures, {**report, "refusal": refusal}, suite=asked.document),
        suite=digest_json(asked.document),
        engine=tools.evaluator.engine,
        base_compute_type=COMPUTE_TYPE,
        compute_type=COMPUTE_TYPE,
        rows=len(asked.chats),
        tokens=sum(len(score.tokens) for score in base.rows),
    )
