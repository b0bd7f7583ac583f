"""What is asked, as far as routing and caches look at it: no words, but which prompts begin alike and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_worker.engines.mock.prefix_cache import Chain

BYTES = 4
"""A token has, about, in English."""


class Text:
    """A text that grows at its end: what others share of its beginning, then what is its own."""

    def __init__(self, name: str, block: int, shared: Text | None = None, shared_tokens: int = 0) -> None:
        """`block`: tokens of a block of the KV cache."""
        self.name, self.block, self._shared = name, block, shared
        self.common = shared_tokens
        self._blocks: list[bytes] = []

    def blocks(self, tokens: int) -> Chain:
        """The names of the full blocks of its first tokens."""
        wanted = tokens // self.block
        if self._shared and not self._blocks:
            self._blocks += self._shared.blocks(self.common)
        for number in range(len(self._blocks), wanted):
            self._blocks.append(b"%s/%d" % (self.name.encode(), number))
        return tuple(self._blocks[:wanted])


@dataclass(frozen=True, slots=True)
class Question:
    at: float
    """Seconds: when it is sent, whatever has been answered until then."""
    door: float
    """0 to 1: by which gateway it comes."""
    text: Text
    prompt: int
    """Tokens; the prompt is so much of the text."""
    answer: int
    """Tokens, by which the text goes on."""
    tenant: str
    head: str
    """Names the system prompt and the tools."""
    start: str
    """Names the user's first message."""

    @property
    def chain(self) -> Chain:
        return self.text.blocks(self.prompt)

    @property
    def read(self) -> Chain:
        """What an engine has read when it has answered: all but the last token."""
        return self.text.blocks(self.prompt + self.answer - 1)

    @property
    def most_hits(self) -> int:
        """Blocks: the last token of a prompt is computed anew."""
        return (self.prompt - 1) // self.text.block
