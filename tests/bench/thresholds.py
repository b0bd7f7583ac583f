"""What a phase of load came to, and which of its thresholds it broke."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .connection import Answer
from .figures import percentile
from .load import DROPPED
from .scenarios import Phase

REFUSALS = {"status 429", "status 503"}


@dataclass(frozen=True)
class Found:
    """Of one phase. Times are milliseconds, of what was answered: a refusal is quick."""

    phase: str
    requests: int
    answered: int
    refused: int
    dropped: int
    failed: dict[str, int]
    """What went wrong -> how often."""
    first_ms: dict[str, float]
    whole_ms: dict[str, float]
    broken: list[str]
    """Each threshold that does not hold, with what was seen."""


def judged(phase: Phase, answers: Sequence[Answer]) -> Found:
    """Shares are of all requests of the phase; one that was not sent is none."""
    most = phase.thresholds
    good = [answer for answer in answers if not answer.error]
    dropped = sum(answer.error == DROPPED for answer in answers)
    refused = sum(answer.error in REFUSALS for answer in answers)
    bad = [answer.error for answer in answers if answer.error and answer.error not in REFUSALS | {DROPPED}]
    first = _spread(most.first_ms, [answer.first for answer in good])
    whole = _spread(most.whole_ms, [answer.whole for answer in good])
    sent = max(1, len(answers) - dropped)
    broken = [
        *_above("failed", len(bad) / sent, most.failed),
        *_above("refused", refused / sent, most.refused),
        *_above("dropped", dropped, most.dropped),
        *(
            one
            for name, at_most in most.first_ms.items()
            for one in _above(f"first {name} ms", first.get(name), at_most)
        ),
        *(
            one
            for name, at_most in most.whole_ms.items()
            for one in _above(f"whole {name} ms", whole.get(name), at_most)
        ),
    ]
    failed = {error: bad.count(error) for error in sorted(set(bad))}
    return Found(phase.name, len(answers), len(good), refused, dropped, failed, first, whole, broken)


def _spread(wanted: dict[str, float], seconds: Sequence[float]) -> dict[str, float]:
    """At p50 and at what is wanted; empty where nothing was answered."""
    names = sorted({"p50", *wanted}, key=lambda name: float(name[1:]))
    return {name: percentile(seconds, float(name[1:])) * 1000 for name in names} if seconds else {}


def _above(what: str, seen: float | None, most: float) -> list[str]:
    """Nothing seen is no pass."""
    if seen is None:
        return [f"{what}: nothing was answered, at most {most:g} is asked"]
    return [f"{what}: {seen:.4g}, at most {most:g}"] if seen > most else []
