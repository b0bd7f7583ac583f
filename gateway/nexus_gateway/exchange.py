"""One request and its answer, as any server can offer it, and the waiters that the story awaits.

The story (`proxy.py`) is a coroutine that awaits nothing but waiters. So it needs no event loop of its own: `drive`
steps it with `.send()` whenever a waiter is settled, from a socket's callback or from an asyncio edge alike, and no
task is made for a request.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class Waiter(Generic[T]):
    """A value that comes later. Settled once; later settling changes nothing. One coroutine awaits it."""

    __slots__ = ("_callback", "_error", "_value", "settled")

    def __init__(self) -> None:
        self.settled = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._callback: Callable[[], None] | None = None

    def __await__(self) -> Generator[Waiter[T], None, T]:
        if not self.settled:
            yield self
        if (error := self._error) is not None:
            # Let go of before it is raised: its traceback holds the frames that hold this, and all of a request that
            # has failed, its bodies too, would wait for the collector.
            self._error = None
            try:
                raise error
            finally:
                del error
        return self._value  # type: ignore[return-value]  # settled with a value, since it has no error

    def give(self, value: T) -> None:
        if not self.settled:
            self._value = value
            self._settle()

    def fail(self, error: BaseException) -> None:
        if not self.settled:
            self._error = error
            self._settle()

    def then(self, callback: Callable[[], None]) -> None:
        """Calls back when settled, at once where it is already."""
        if self.settled:
            callback()
        else:
            self._callback = callback

    @property
    def error(self) -> BaseException | None:
        return self._error

    @property
    def value(self) -> T:
        """Of a waiter that is settled without an error."""
        return self._value  # type: ignore[return-value]  # its caller has asked for `error`

    def _settle(self) -> None:
        self.settled = True
        if self._callback is not None:
            callback, self._callback = self._callback, None
            callback()


def given(value: T) -> Waiter[T]:
    """A waiter that is settled already."""
    waiter: Waiter[T] = Waiter()
    waiter.give(value)
    return waiter


WRITTEN = given(None)
"""Of what is with the transport already: one for all, since what is settled never changes."""


def failed(error: BaseException) -> Waiter[Any]:
    """A waiter that has failed already."""
    waiter: Waiter[Any] = Waiter()
    waiter.fail(error)
    return waiter


def drive(story: Coroutine[Any, None, None], finished: Callable[[BaseException | None], None]) -> None:
    """Runs `story` as far as it goes, and on from each waiter; `finished` is told how it ended."""
    _Driver(story, finished).resume()


class _Driver:
    """No function within `drive`: one that names itself is part of a cycle, and would keep its request, body and all,
    until the collector comes. Nothing of a request may wait for that (test_request_garbage.py): memory that is free at
    once is the next request's, and warm."""

    __slots__ = ("_finished", "_story")

    def __init__(self, story: Coroutine[Any, None, None], finished: Callable[[BaseException | None], None]) -> None:
        self._story, self._finished = story, finished

    def resume(self) -> None:
        try:
            waiter = self._story.send(None)
        except StopIteration:
            self._finished(None)
        except BaseException as error:
            self._finished(error)
        else:
            waiter.then(self.resume)


Headers = list[tuple[bytes, bytes]]
"""Names in lower case, in the order in which they came."""

CONTROLS = bytes({*range(0x20), 0x7F} - {*b"\t"})
"""None of them may be in an answer's header, as uvicorn has it: two of them end it, others are read as such by some."""


NO_HEADERS: Headers = []
_NO_FIRSTS: dict[bytes, bytes] = {}
"""One for all: nobody changes a head's."""


class RequestHead:
    """Asked a dozen times for each request, nearly always for a header that it has not: hence the dictionary."""

    __slots__ = ("client", "firsts", "headers", "method", "path", "query")

    def __init__(self, method: str, path: str, headers: Headers, client: str, query: bytes = b"") -> None:
        """`client`: address without port; empty where the server does not know. `query`: as it came, without its
        question mark."""
        self.method, self.path, self.headers, self.client, self.query = method, path, headers, client, query
        firsts = dict(headers)
        if len(firsts) < len(headers):
            firsts = dict(reversed(headers))
        self.firsts = firsts
        """Of each name the first value."""

    def let_go(self) -> None:
        """Of its headers, once nobody asks for them any more: of an open stream they were the most, after the body."""
        self.headers, self.firsts = NO_HEADERS, _NO_FIRSTS

    def first(self, name: bytes) -> bytes:
        return self.firsts.get(name, b"")

    def every(self, name: bytes) -> list[bytes]:
        if name not in self.firsts:
            return []
        if len(self.firsts) == len(self.headers):
            return [self.firsts[name]]
        return [value for key, value in self.headers if key == name]


class Exchange(Protocol):
    """What an edge offers for one request."""

    head: RequestHead
    closed: Waiter[None]
    """Settled when the client has gone before the answer's end."""

    @property
    def flowing(self) -> bool:
        """Whether whole frames of HTTP/1.1 may be given to `write` as they are: the edge writes such, and has room."""

    @property
    def write(self) -> Callable[[bytes], None]: ...

    def socket(self) -> int | None:
        """Where whole frames may be written past this while it is `clear`; None where they may not. What the socket
        does not take is given to `write`."""

    def clear(self) -> bool:
        """Whether it flows, and nothing waits to be written."""

    def body(self) -> Waiter[bytes]:
        """The whole body. Fails with Refusal (too large, too slow) or ClientGone."""

    def start(self, status: int, headers: Headers) -> None:
        """The answer's head. Once."""

    def send(self, data: bytes, seconds: float, framed: bytes = b"") -> Waiter[None]:
        """Some of the answer's body; settled when there is room for more. Fails with ClientGone, also where the client
        has made no room within `seconds`: its connection is then cut. `framed`: the same as whole frames of HTTP/1.1,
        where it has come in such: an edge that writes frames need not make them again."""

    def end(self) -> None:
        """The answer is whole."""
