"""Reads the bytes of one answer after the other: by hand what engines nearly always send, a plain head and then a body
of a known length or in frames. With the first byte that is anything else `CarefulAnswer` reads on."""

from __future__ import annotations

from typing import Protocol

from nexus_gateway.upstreams.careful_answer import CarefulAnswer
from nexus_gateway.upstreams.frames import BadFrame, Frames
from nexus_gateway.upstreams.plain_answer import END, LARGEST_PLAIN, plain_answer
from nexus_gateway.upstreams.protocol import ResponseHead, UpstreamFault


class Hearer(Protocol):
    """Who is told."""

    def began(self, head: ResponseHead) -> None:
        """The head has come; what came with it of the body is told before."""

    def came(self, data: bytes) -> None:
        """Some of the body."""

    def came_in_frames(self, payloads: list[bytes], framed: bytes) -> None:
        """Some of the body. `framed`: the same as it came, where that is whole frames; empty where it is not."""

    def ended(self, *, keep: bool) -> None:
        """The answer is whole. `keep`: whether the connection may carry another."""


class AnswerReader:
    __slots__ = ("_careful", "_frames", "_hearer", "_keep", "_left")

    def __init__(self, hearer: Hearer) -> None:
        self._hearer, self._frames = hearer, Frames()
        self.begin()

    def begin(self) -> None:
        """Another answer is to come."""
        self._careful: CarefulAnswer | None = None
        """Reads it, once it is no plain one."""
        self._left: int | None = None
        """Bytes of the body to come; -1 where they come in frames, None until the head has."""
        self._keep = False

    def begin_between_frames(self, *, keep: bool) -> None:
        """Of an answer whose head, and some frames, somebody else has read."""
        self.begin()
        self._frames.begin()
        self._left, self._keep = -1, keep

    def close(self) -> None:
        """No byte comes any more: whom it told is free at once, and need not wait for Python's collector."""
        self._careful = None
        del self._hearer

    @property
    def between_frames(self) -> bool:
        """True where the next byte is the first of a plain frame."""
        return self._careful is None and self._left == -1 and self._frames.between

    def feed(self, data: bytes) -> None:
        """Raises UpstreamFault."""
        if self._careful is not None:
            self._careful.feed(data)
        elif self._left is None:
            self._read_head(data)
        elif self._left < 0:
            self._read_frames(data)
        else:
            self._read_body(data)

    def _read_head(self, data: bytes) -> None:
        """Of an answer whose head has not come at once, all is read with care."""
        end = data.find(END, 0, LARGEST_PLAIN)
        plain = plain_answer(data[: end + 2]) if end >= 0 else None
        if plain is None:
            self._read_carefully(CarefulAnswer(self._hearer), data)
            return
        rest, self._keep = data[end + len(END) :], plain.keeps
        # The body first: the story then finds it with the head, and is not stepped once for each.
        if plain.length is None:
            self._left = -1
            self._frames.begin()
            if rest:
                self._read_frames(rest)
        else:
            self._left = plain.length
            self._read_body(rest)
        self._hearer.began(plain.head)

    def _read_body(self, data: bytes) -> None:
        left = self._left = (self._left or 0) - len(data)
        if left < 0:
            raise UpstreamFault("it sent more than one answer")
        if data:
            self._hearer.came(data)
        if not left:
            self._hearer.ended(keep=self._keep)

    def _read_frames(self, data: bytes) -> None:
        try:
            payloads, framed = self._frames.walk(data)
        except BadFrame as bad:
            self._hearer.came_in_frames(bad.before, b"")
            self._read_carefully(CarefulAnswer(self._hearer, begun=True, keeps=self._keep), bad.rest)
            return
        self._hearer.came_in_frames(payloads, framed)
        if self._frames.ended:
            self._hearer.ended(keep=self._keep)

    def _read_carefully(self, careful: CarefulAnswer, data: bytes) -> None:
        self._careful = careful
        careful.feed(data)
