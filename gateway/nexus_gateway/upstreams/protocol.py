"""What the story asks of an upstream."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from nexus_gateway.exchange import Headers, Waiter

if TYPE_CHECKING:
    from nexus_native import StreamLine

CONNECT_SECONDS = 5.0


class UpstreamFault(Exception):
    """The upstream did not give a usable answer. `reason` may be told to clients: it names no address."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UpstreamSlow(UpstreamFault):
    """A deadline has passed."""


class UnusableAnswer(UpstreamFault):
    """The engine has done its part, but what its model says cannot be told in the client's API. It says nothing against
    the engine's health."""


class NotConnected(UpstreamFault):
    """There is no connection: nothing of the call has been sent."""


class ConnectSlow(NotConnected, UpstreamSlow):
    """It was not taken in time."""


@dataclass(slots=True)  # not frozen, which makes it several times as slow: one is made for each try
class Call:
    """One request to an upstream."""

    path: str
    """Under the upstream's own address: `/v1/chat/completions`."""
    lines: bytes
    """Headers as HTTP/1.1 has them, each with its end; names in lower case. Written straight away, since nearly all
    calls are HTTP's."""
    body: bytes
    method: str = "POST"
    connect_seconds: float = CONNECT_SECONDS
    """For a new connection, where the call needs one."""
    total_seconds: float | None = None
    """Until the whole answer has come, for engines that are told; None: they are not."""

    @property
    def headers(self) -> Headers:
        """For protocols that write them otherwise."""
        parted = (line.partition(b": ") for line in self.lines.split(b"\r\n")[:-1])
        return [(name, value) for name, _, value in parted]


def written(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """As the lines of a call."""
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])


@dataclass(frozen=True, slots=True)
class ResponseHead:
    status: int
    headers: Headers

    def first(self, name: bytes) -> bytes:
        for key, value in self.headers:
            if key == name:
                return value
        return b""


class Taker(Protocol):
    """Whom the body of an answer is poured into."""

    def take(self, data: bytes, framed: bytes) -> None:
        """Some of it. `framed`: the same as whole frames of HTTP/1.1; empty where it has not come in such."""

    def take_frame(self, data: bytes) -> bool:
        """One read of a socket that begins where a frame does. False where it is not one frame with one event that
        needs no second look: then nothing of it is taken, and it comes by `take`."""

    def line(
        self,
        socket: int,
        between: Callable[[], bool],
        deliver: Callable[[bytes], None],
        over: Callable[[BaseException | None], None],
    ) -> StreamLine | None:
        """Reads `socket` in the pourer's stead, see native.py, and takes what `take_frame` would while `between` says
        that a frame begins; None where it does not. `deliver` is given all else; `over`: no more can be read, or what
        has been raised meanwhile."""

    def patience(self) -> float:
        """Seconds for which more is waited for, if nothing comes meanwhile. Raises UpstreamSlow where they are over."""

    def over(self, fault: BaseException | None) -> None:
        """Nothing more comes: it is whole, or why not."""


class StraightHearer(Protocol):
    """Who asks for an answer that nobody awaits (`straight/`)."""

    def heard(self, data: bytes) -> None:
        """The first of it."""

    def leave_the_way(self) -> None:
        """Something else has happened: it adopts the call, as one that is awaited."""


class Source(Protocol):
    """What pours: from the socket's own callback where it can."""

    def pour(self, taker: Taker) -> None:
        """All that has not been asked for by `chunk`."""

    def hold(self) -> None:
        """The taker has no room; until `go_on` it is told nothing."""

    def go_on(self) -> None: ...

    def hurry(self) -> None:
        """The taker's patience has become shorter."""


class Answer(Protocol):
    """One call under way. Waiters fail with UpstreamFault, or with what `abort` was given."""

    def head(self, seconds: float) -> Waiter[ResponseHead]: ...

    def chunk(self, seconds: float) -> Waiter[bytes]:
        """The next bytes of the body; empty at its end."""

    def abort(self, error: BaseException) -> None:
        """Gives the call up: the upstream is cut off, whoever waits gets `error`. Harmless when the call has ended."""


class Upstream(Protocol):
    """One endpoint."""

    def send(self, call: Call) -> Answer: ...

    def close(self) -> None:
        """Closes idle connections; calls that are under way go on."""
