"""What the engines' own accounts teach of a model's requests: how many bytes a token has, and how much of a prompt is
found in a cache. Moving means, so that they follow a change and need no memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

_UP, _DOWN = 0.1, 0.005
_NEXT_STEP = 0.1  # few answers come from there
_STEP = 0.02  # about the last fifty answers
LEAST_GAIN, _AT_LEAST = 0.1, 0.002
_LEAST_BYTES, _MOST_BYTES = 1.0, 16.0  # of a token; beyond that an account is no account of this body


class Gain(NamedTuple):
    """The share of a prompt that home saves, against"""

    next: float = 1.0
    """another endpoint that its group uses, and"""
    beyond: float = 1.0
    """one that its group does not use."""


@dataclass(slots=True)
class Learned:
    bytes_a_token: float = 4.0
    hit_ratio: float = 0.0
    """Of prompts that were answered where their beginning was expected, on average. 0 until told: a queue is better
    taken for too long."""
    saved: float = 1.0
    """What home saves of a prompt when it has kept it: it rises quickly and falls slowly. By the mean, caches that were
    emptied by a rush would look useless, nobody would stay at home, and they would never fill again."""
    homes: int = 8
    """Answers that it falls by, until there are many; so many as if it had been told 1."""
    next_ratio: float = 1.0
    """The mean of what is found at another endpoint of the group."""
    nexts: int = 1
    """Answers that it is the mean of, until there are many."""
    mean_uncached: float = 0.0
    """Tokens that a request has left to compute, at home or not; 0 until told."""

    @property
    def gain(self) -> Gain:
        """A small difference is chance. But home is never left for nothing: what has not been told yet may be much."""
        over_next = self.saved - self.next_ratio
        return Gain(over_next if over_next >= LEAST_GAIN else _AT_LEAST, self.saved)

    def tokens(self, size: int) -> float:
        """Of a body of so many bytes."""
        return size / self.bytes_a_token

    def uncached(self, tokens: float, warm: bool, near: bool = False) -> float:
        """What is left to compute of so many tokens. `warm`: where the choice expects their beginning; `near`: at the
        next of the group."""
        return tokens * (1.0 - (self.hit_ratio if warm else self.next_ratio if near else 0.0))

    def told(self, size: int, prompt_tokens: int, cached_tokens: int, warm: bool, near: bool = False) -> None:
        """By the account of one answer; one without prompt tokens teaches nothing. `near`: it came from the next of its
        group, and not from home."""
        if prompt_tokens <= 0:
            return
        measured = min(max(size / prompt_tokens, _LEAST_BYTES), _MOST_BYTES)
        cached = min(max(cached_tokens, 0), prompt_tokens)
        self.bytes_a_token += _STEP * (measured - self.bytes_a_token)
        found = cached / prompt_tokens
        if warm:
            self.homes += 1
            self.hit_ratio += max(_STEP, 1 / self.homes) * (found - self.hit_ratio)
            self.saved += (_UP if found > self.saved else max(_DOWN, 1 / self.homes)) * (found - self.saved)
        if near:
            self.nexts += 1
            self.next_ratio += max(_NEXT_STEP, 1 / self.nexts) * (found - self.next_ratio)
        left = prompt_tokens - cached
        self.mean_uncached = self.mean_uncached + _STEP * (left - self.mean_uncached) if self.mean_uncached else left
