"""What the engines' own accounts teach of a model's requests: how many bytes a token has, and how much of a prompt is
found in a cache. Moving means, so that they follow a change and need no memory."""

from __future__ import annotations

from dataclasses import dataclass

_STEP = 0.02  # about the last fifty answers
_LEAST_BYTES, _MOST_BYTES = 1.0, 16.0  # of a token; beyond that an account is no account of this body


@dataclass(slots=True)
class Learned:
    bytes_a_token: float = 4.0
    hit_ratio: float = 0.0
    """Of prompts that were answered where their beginning was expected. Closed: 0, nothing is saved, until told."""
    mean_uncached: float = 0.0
    """Tokens that a request has left to compute, at home or not; 0 until told."""

    def tokens(self, size: int) -> float:
        """Of a body of so many bytes."""
        return size / self.bytes_a_token

    def uncached(self, tokens: float, warm: bool) -> float:
        """What is left to compute of so many tokens. `warm`: where the choice expects their beginning."""
        return tokens * (1.0 - self.hit_ratio) if warm else tokens

    def told(self, size: int, prompt_tokens: int, cached_tokens: int, warm: bool) -> None:
        """By the account of one answer; one without prompt tokens teaches nothing."""
        if prompt_tokens <= 0:
            return
        measured = min(max(size / prompt_tokens, _LEAST_BYTES), _MOST_BYTES)
        cached = min(max(cached_tokens, 0), prompt_tokens)
        self.bytes_a_token += _STEP * (measured - self.bytes_a_token)
        if warm:
            self.hit_ratio += _STEP * (cached / prompt_tokens - self.hit_ratio)
        left = prompt_tokens - cached
        self.mean_uncached = self.mean_uncached + _STEP * (left - self.mean_uncached) if self.mean_uncached else left
