"""The port between the server and what generates tokens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from nexus_worker.text import Codec


@dataclass(frozen=True)
class Sampling:
    max_tokens: int
    temperature: float = 1.0
    """0 takes the most likely token each time."""
    top_p: float = 1.0
    top_k: int = 0
    """0 considers every token."""
    seed: int | None = None
    """The same seed and request give the same tokens."""
    ignore_eos: bool = False


@dataclass(frozen=True)
class Stats:
    running: int
    waiting: int
    kv_cache: float
    """What running requests hold, as a share of what there is."""


@dataclass
class Prefix:
    """What an engine may have kept of a prompt's beginning."""

    salt: str = ""
    """Only prompts with the same one share what is kept."""
    cached: int | None = None
    """Tokens that were kept, which the engine tells before the first token; None where it keeps nothing."""


class Engine(Protocol):
    name: str
    """With version, and how it computes."""
    codec: Codec
    context: int
    """Tokens of prompt and answer together."""
    end_tokens: Collection[int]
    defaults: Sampling
    """What holds where a request says nothing; `max_tokens` is the context."""

    def generate(self, prompt: Sequence[int], sampling: Sampling, prefix: Prefix) -> AsyncGenerator[int, None]:
        """Tokens as they come, an end token included. Waits for a free place first; closing it cancels.

        The prompt is not empty, its ids are below `codec.vocabulary`, and with `max_tokens` it fits the context.
        """

    def stats(self) -> Stats: ...
