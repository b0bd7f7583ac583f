"""An engine without a model: the same request gets the same words, at the pace that is asked for.

For tests and for load: it costs nothing, and what a client measures is known beforehand.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from typing import Any

from nexus_worker.engines.engine import Sampling, Stats
from nexus_worker.engines.places import Places
from nexus_worker.text import Codec

_TEXT = (
    "the gateway reads a route and asks an engine for words which it passes on as they come so that nobody waits "
    "longer than one token while the commit that made this answer stands beside it in a header for all to see"
)
_WORDS = _TEXT.split()
_END = len(_WORDS)
_ANSWER = range(16, 33)  # words of an answer, where the request allows as many


class MockCodec:
    """A token is a word; any word has an id, and an id has one word of the list."""

    vocabulary = _END + 1

    def encode(self, text: str) -> list[int]:
        return [zlib.crc32(word.encode()) % _END for word in text.split()]

    def encode_chat(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        return self.encode(" ".join(f"{message['role']} {message['content']}" for message in messages))

    def decoder(self) -> Callable[[int], str]:
        first = True

        def decode(token: int) -> str:
            nonlocal first
            space, first = "" if first else " ", False
            return space + _WORDS[token] if token < _END else ""

        return decode


class MockEngine:
    """The port `Engine`."""

    name = "mock"

    def __init__(self, *, ttft_ms: float, tokens_per_second: float, max_num_seqs: int, context: int) -> None:
        self.codec: Codec = MockCodec()
        self.end_tokens: Collection[int] = frozenset({_END})
        self.context = context
        self.defaults = Sampling(max_tokens=context)
        self._first, self._between = ttft_ms / 1000, 1 / tokens_per_second if tokens_per_second else 0.0
        self._places = Places(max_num_seqs, context)

    def stats(self) -> Stats:
        return self._places.stats()

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[int, None]:
        async with self._places.take(len(prompt)) as place:
            await asyncio.sleep(self._first)
            for number, token in enumerate(_answer(prompt, sampling)):
                if number:
                    await asyncio.sleep(self._between)
                place.tokens += 1
                yield token


def _answer(prompt: Sequence[int], sampling: Sampling) -> list[int]:
    state = zlib.crc32(repr((list(prompt), sampling.seed)).encode())
    words = sampling.max_tokens if sampling.ignore_eos else _ANSWER[state % len(_ANSWER)]
    tokens = [(state + number) % _END for number in range(words)]
    return [*tokens, *([] if sampling.ignore_eos else [_END])][: sampling.max_tokens]
