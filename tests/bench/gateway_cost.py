"""What a gateway before an engine costs: rounds through it and past it, by turns, on the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from .connection import Target
from .figures import figures
from .load import Load, closed_loop
from .questions import questions

MOST_THROUGHPUT = 0.01
MOST_FIRST_MS = 2.0


@dataclass(frozen=True)
class Cost:
    throughput: float
    """Share of the tokens a second that is lost."""
    first_ms: float
    """Of TTFT p99."""

    @property
    def allowed(self) -> bool:
        return self.throughput <= MOST_THROUGHPUT and self.first_ms <= MOST_FIRST_MS


def measured(
    direct: Target, through: Target, clients: int, requests: int, rounds: int
) -> tuple[list[Load], list[Load]]:
    """(past it, through it); which goes first alternates."""
    found: dict[str, list[Load]] = {direct.name: [], through.name: []}
    for number in range(rounds):
        asked = questions(number, requests)
        for target in (direct, through) if number % 2 else (through, direct):
            found[target.name].append(closed_loop(target, asked, clients))
    return found[direct.name], found[through.name]


def cost(direct: Sequence[Load], through: Sequence[Load]) -> Cost:
    """Medians of the rounds' differences. Raises ValueError where an answer is missing: a loss is no saving."""
    pairs = [(figures([one]), figures([other])) for one, other in zip(direct, through, strict=True)]
    if faults := [of.errors for pair in pairs for of in pair if of.errors]:
        raise ValueError(f"not every request was answered: {faults}")
    return Cost(
        median(1 - other.tokens_per_second / one.tokens_per_second for one, other in pairs),
        median(other.first[-1] - one.first[-1] for one, other in pairs),
    )
