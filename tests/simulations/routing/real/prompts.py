"""The words of what is asked: where texts of the simulation begin alike, so do these, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from hashlib import blake2b, shake_128
from typing import TypedDict

from nexus_worker.engines.mock.prefix_cache import Chain

from ..texts import BYTES, Question, Text
from ..workloads import ONE_GPU

BLOCK = ONE_GPU.block * BYTES
"""Letters of a block of the KV cache."""
TAG = 32
"""Letters at the beginning of what is a text's own, from which the rest of it follows: so an engine knows the answer
that the next question will repeat."""


class Message(TypedDict):
    role: str
    content: str


def conversations(asked: Sequence[Question]) -> Iterator[tuple[Question, list[Message]]]:
    """Each question with its messages: the earlier ones of its text and their answers come before it."""
    ends: dict[str, list[int]] = {}
    for question in asked:
        known = ends.setdefault(question.text.name, [question.text.common])
        yield question, list(_messages(question, (*known, question.prompt)))
        known += (question.prompt, question.prompt + question.answer)


def _messages(question: Question, ends: Sequence[int]) -> Iterator[Message]:
    letters = head(question.head, ends[0]) + own(tag(question.text.name), question.prompt - ends[0])
    begin = 0
    for number, end in enumerate(ends):
        role = "system" if not number else "user" if number % 2 else "assistant"
        yield {"role": role, "content": letters[begin * BYTES : end * BYTES]}
        begin = end


@cache
def head(name: str, tokens: int) -> str:
    return own(tag(name), tokens)


def tag(name: str) -> str:
    return blake2b(name.encode(), digest_size=TAG // 2).hexdigest()


def own(tagged: str, tokens: int) -> str:
    """So many tokens of hexadecimal letters, of which a longer text has the same at its beginning."""
    letters = tokens * BYTES
    return (tagged + shake_128(tagged.encode()).hexdigest(letters // 2))[:letters]


class Said(Text):
    """What an engine was asked, with all that its text could go on with."""

    def __init__(self, contents: Iterable[str], answer: int) -> None:
        """`answer`: tokens."""
        system, *rest = contents
        said = "".join(rest)
        self.tokens = (len(system) + len(said)) // BYTES
        whole = system + own(said[:TAG], len(said) // BYTES + answer)
        super().__init__("", ONE_GPU.block)
        self._chain = _chain(whole.encode())

    def blocks(self, tokens: int) -> Chain:
        return self._chain[: tokens // self.block]


def _chain(whole: bytes) -> Chain:
    names, name = list[bytes](), b""
    for begin in range(0, len(whole) - BLOCK + 1, BLOCK):
        name = blake2b(name + whole[begin : begin + BLOCK], digest_size=16).digest()
        names.append(name)
    return tuple(names)
