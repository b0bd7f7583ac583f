"""A coroutine of the server's that is stepped from callbacks. Nearly all of them end at their first step, and a task
for one costs more than the step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Stepped(Generic[T]):
    """The rest of `coroutine`, whose first step has come as far as `awaited`."""

    __slots__ = ("_awaited", "_closed", "_coroutine", "_ended", "_loop")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Generator[Any, None, T],
        awaited: Any,
        ended: Callable[[T | None, BaseException | None], None],
    ) -> None:
        """`ended` is told what it has returned, or raised."""
        self._loop, self._coroutine, self._ended = loop, coroutine, ended
        self._closed = False
        self._await(awaited)

    def close(self) -> None:
        """It goes no further, and nobody is told."""
        self._closed = True
        if self._awaited is not None:
            self._awaited.remove_done_callback(self._step)
        self._coroutine.close()

    def _await(self, awaited: Any) -> None:
        """As asyncio's tasks do: a future, or None, which only lets the others go first."""
        self._awaited = awaited
        if awaited is None:
            self._loop.call_soon(self._step)
        else:
            awaited._asyncio_future_blocking = False
            awaited.add_done_callback(self._step)

    def _step(self, _: object = None) -> None:
        if self._closed:
            return
        try:
            awaited = next(self._coroutine)
        except StopIteration as end:
            self._ended(end.value, None)
        except BaseException as error:
            self._ended(None, error)
        else:
            self._await(awaited)
