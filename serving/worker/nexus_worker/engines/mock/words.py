"""What the mock reads and says: a token is a word. The same request gets the same words, whatever is cached."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nexus_worker.engines.engine import Sampling

_TEXT = (
    "the gateway reads a route and asks an engine for words which it passes on as they come so that nobody waits "
    "longer than one token while the commit that made this answer stands beside it in a header for all to see"
)
_WORDS = tuple(dict.fromkeys(_TEXT.split()))
_SAID = {word: token for token, word in enumerate(_WORDS)}
_SAYING = [_SAID[word] for word in _TEXT.split()]  # so that an answer which comes back in a prompt has its own tokens
_VOCABULARY = 2**16
END = _VOCABULARY - 1
_ANSWER = range(16, 33)  # words of an answer, where the request allows as many


class MockCodec:
    """Any word has an id; the words of answers have their own, and the others' ids read as one of them."""

    vocabulary = _VOCABULARY

    def encode(self, text: str) -> list[int]:
        return [_token(word) for word in text.split()]

    def encode_chat(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """Ends where the answer begins, as a chat template does: the next turn's prompt goes on with that answer."""
        turns = [f"{message['role']} {message['content']}" for message in messages]
        return self.encode(" ".join((*turns, "assistant")))

    def decoder(self) -> Callable[[int], str]:
        first = True

        def decode(token: int) -> str:
            nonlocal first
            space, first = "" if first else " ", False
            return "" if token == END else space + _WORDS[token % len(_WORDS)]

        return decode


def written(prompt: Sequence[int], sampling: Sampling) -> list[int]:
    """The answer's tokens, the end token included where it comes to it."""
    state = zlib.crc32(repr((list(prompt), sampling.seed)).encode())
    words = sampling.max_tokens if sampling.ignore_eos else _ANSWER[state % len(_ANSWER)]
    tokens = [_SAYING[(state + number) % len(_SAYING)] for number in range(words)]
    return [*tokens, *([] if sampling.ignore_eos else [END])][: sampling.max_tokens]


def _token(word: str) -> int:
    known = _SAID.get(word)
    return len(_WORDS) + zlib.crc32(word.encode()) % (END - len(_WORDS)) if known is None else known
