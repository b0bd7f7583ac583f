"""What is asked and when: prompts, lengths and times of arrival that follow from a seed alone."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import accumulate

_WORDS = (
    "open", "file", "return", "list", "number", "string", "object", "path", "module", "error", "call", "value", "name",
    "class", "what", "does", "is", "the", "a", "and", "to", "with", "line", "read", "write", "first", "last", "order",
    "key", "set", "copy", "join", "split", "time", "thread", "process", "socket", "server", "answer", "question",
)  # fmt: skip


@dataclass(frozen=True)
class Question:
    prompt: str
    max_tokens: int


@dataclass(frozen=True)
class Lengths:
    """Each drawn evenly from its range, both ends included."""

    words: tuple[int, int] = (8, 48)
    """Of a prompt."""
    tokens: tuple[int, int] = (16, 48)
    """Of an answer."""


def questions(seed: int, count: int, lengths: Lengths = Lengths()) -> list[Question]:
    """No two begin alike, so that no engine answers from the cache of a prefix."""
    drawn = random.Random(seed)
    return [
        Question(
            f"{seed}-{number} " + " ".join(drawn.choices(_WORDS, k=drawn.randint(*lengths.words))),
            drawn.randint(*lengths.tokens),
        )
        for number in range(count)
    ]


def arrivals(seed: int, count: int, rate: float) -> list[float]:
    """Seconds since the start at which requests arrive, `rate` a second on average, each without regard to the others
    (a Poisson process)."""
    drawn = random.Random(seed)
    return list(accumulate(drawn.expovariate(rate) for _ in range(count)))
