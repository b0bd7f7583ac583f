"""An answer that can only be read piece by piece, poured all the same: the relay of streams knows one way alone."""

from __future__ import annotations

from nexus_gateway.exchange import Waiter, failed
from nexus_gateway.upstreams.http import HttpAnswer
from nexus_gateway.upstreams.protocol import Answer, Source, Taker, UpstreamSlow


def source_of(answer: Answer) -> Source:
    return answer if isinstance(answer, HttpAnswer) else Pulled(answer)


class Pulled:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._taker: Taker | None = None
        self._held = self._pulling = False

    def pour(self, taker: Taker) -> None:
        self._taker = taker
        self._pull()

    def hold(self) -> None:
        self._held = True

    def go_on(self) -> None:
        self._held = False
        self._pull()

    def hurry(self) -> None:
        """It is asked for each piece."""

    def _pull(self) -> None:
        """A loop and no recursion, however much has come already."""
        if self._pulling:
            return
        self._pulling = True
        while (taker := self._taker) is not None and not self._held:
            heard = self._next(taker)
            if not heard.settled:
                heard.then(lambda heard=heard: self._resume(heard))  # type: ignore[misc]  # bound now, not at the end
                return
            self._tell(heard)
        self._pulling = False

    def _next(self, taker: Taker) -> Waiter[bytes]:
        try:
            return self._answer.chunk(taker.patience())
        except UpstreamSlow as slow:
            return failed(slow)

    def _resume(self, heard: Waiter[bytes]) -> None:
        self._pulling = False
        self._tell(heard)
        self._pull()

    def _tell(self, heard: Waiter[bytes]) -> None:
        taker = self._taker
        if taker is None:
            return
        if heard.error is None and heard.value:
            taker.take(heard.value, b"")
        else:
            self._taker = None
            taker.over(heard.error)
