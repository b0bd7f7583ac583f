"""How much a request counts for before anybody knows: values in, values out."""

from __future__ import annotations

import math

from nexus_gateway.asked import Asked
from nexus_gateway.errors import TOO_MANY_TOKENS, Refusal
from nexus_gateway.limits.windows import Limits
from nexus_gateway.routes_file import PolicyFile
from nexus_gateway.surfaces import Surface

BYTES_A_TOKEN = 4
"""Of a prompt in English, by OpenAI's own rule of thumb; the engine's count corrects it."""
ANSWER_TOKENS = 512
"""Taken for an answer whose request does not say how long it may be, where the caller has so many a minute."""


def estimate(asked: Asked, surface: Surface, policy: PolicyFile, size: int) -> int:
    """Tokens that are kept free for a request until they are known. `size`: bytes of its body."""
    prompt = size // BYTES_A_TOKEN
    if not surface.bounds:
        return prompt
    longest = asked.longest(surface)
    answers = asked.answers(surface)
    if longest is None and policy.max_tokens is None:
        left = (policy.tokens_per_minute or math.inf) - prompt
        return prompt + int(max(1, min(ANSWER_TOKENS * answers, left)))
    return prompt + (longest if longest is not None else policy.max_tokens or 0) * answers


def hold_to_whole(tokens: int, limits: Limits) -> None:
    """Raises Refusal where a request may need more than its caller ever has at once."""
    if limits.tokens is not None and tokens > limits.tokens:
        told = (
            f"the request may need {tokens} tokens, and this key has {limits.tokens} a minute: ask for a shorter answer"
        )
        raise Refusal(TOO_MANY_TOKENS, told)  # to come again later would not help
