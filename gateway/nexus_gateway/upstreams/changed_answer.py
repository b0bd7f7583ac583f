"""An engine's answer that reaches the story as something else: in another API's words, or masked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nexus_gateway.exchange import Waiter, given
from nexus_gateway.messages.answer import BadAnswer, Untellable
from nexus_gateway.stream import BadStream
from nexus_gateway.upstreams.protocol import Answer, ResponseHead, UnusableAnswer, UpstreamFault, UpstreamSlow

_LARGEST = 16 << 20  # bytes of an answer in one piece

Told = bytes | None
"""What goes on (empty: the end); None where nothing can be told yet."""
Take = Callable[[bytes], Told | Waiter[Told]]
"""What has come of the body (empty: its end) -> what is told of it. Raises BadStream, BadAnswer, Untellable, and
whatever a document of the wrong shape does; its waiter fails with the same."""
Begin = Callable[[ResponseHead], tuple[ResponseHead, Take]]
"""The head that has come -> the head that goes on, and what is done with the body."""


class ChangedAnswer:
    def __init__(self, answer: Answer, begin: Begin, otherwise: str) -> None:
        """`otherwise`: what is told of a document of the wrong shape."""
        self._answer, self._begin, self._otherwise = answer, begin, otherwise
        self._take: Take | None = None
        self._ended = False

    def head(self, seconds: float) -> Waiter[ResponseHead]:
        told: Waiter[ResponseHead] = Waiter()
        heard = self._answer.head(seconds)

        def settle() -> None:
            if heard.error is not None:
                told.fail(heard.error)
                return
            found, self._take = self._begin(heard.value)
            told.give(found)

        heard.then(settle)
        return told

    def chunk(self, seconds: float) -> Waiter[bytes]:
        if self._ended or self._take is None:
            return given(b"")
        pull = _Pull(self._answer, seconds, self._taken, self._otherwise)
        pull.go_on()
        return pull.told

    def abort(self, error: BaseException) -> None:
        self._answer.abort(error)

    def _taken(self, data: bytes) -> Told | Waiter[Told]:
        assert self._take is not None  # noqa: S101 - narrows for mypy; nobody pulls before
        self._ended = not data
        return self._take(data)


class Whole:
    """Keeps what comes until it ends."""

    def __init__(self, change: Callable[[bytes], Told | Waiter[Told]]) -> None:
        self._change, self._pieces, self._size = change, list[bytes](), 0

    def take(self, data: bytes) -> Told | Waiter[Told]:
        if not data:
            return self._change(b"".join(self._pieces))
        self._size += len(data)
        if self._size > _LARGEST:
            raise BadAnswer("its answer is too large")
        self._pieces.append(data)
        return None


class _Pull:
    """Asks the engine for more until there is something to tell, within one deadline for all of it."""

    def __init__(self, answer: Answer, seconds: float, take: Take, otherwise: str) -> None:
        self.told: Waiter[bytes] = Waiter()
        self._answer, self._take, self._otherwise = answer, take, otherwise
        self._until = asyncio.get_running_loop().time() + seconds

    def go_on(self) -> None:
        while True:
            left = self._until - asyncio.get_running_loop().time()
            if left <= 0:
                self.told.fail(UpstreamSlow("it was silent for too long in the middle of its answer"))
                return
            heard = self._answer.chunk(left)
            if not heard.settled:
                heard.then(lambda heard=heard: self._resume(heard))  # type: ignore[misc]  # bound now, not at the end
                return
            if not self._hear(heard):
                return

    def _resume(self, heard: Waiter[bytes]) -> None:
        if self._hear(heard):
            self.go_on()

    def _hear(self, heard: Waiter[bytes]) -> bool:
        """True where more must come before there is something to tell."""
        if heard.error is not None:
            self.told.fail(heard.error)
            return False
        try:
            out = self._take(heard.value)
        except Exception as error:
            self.told.fail(self._fault(error))
            return False
        if not isinstance(out, Waiter):
            return self._tell(out)
        if out.settled:  # a loop and no recursion, however small the pieces are
            return self._tell_made(out)
        out.then(lambda: self._go_on_after(out))
        return False

    def _go_on_after(self, out: Waiter[Told]) -> None:
        if self._tell_made(out):
            self.go_on()

    def _tell_made(self, out: Waiter[Told]) -> bool:
        if out.error is None:
            return self._tell(out.value)
        self.told.fail(self._fault(out.error))
        return False

    def _tell(self, out: Told) -> bool:
        if out is not None:
            self.told.give(out)
        return out is None

    def _fault(self, error: BaseException) -> UpstreamFault:
        """Whatever a document of another shape does, who waits is told."""
        if isinstance(error, Untellable):
            return UnusableAnswer(str(error))
        return UpstreamFault(str(error) if isinstance(error, BadStream | BadAnswer) else self._otherwise)
