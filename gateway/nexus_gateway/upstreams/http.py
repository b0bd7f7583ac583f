"""`http://` and `https://`: a pool of connections for one endpoint, last in first out.

httpx's own pool looks at every connection on each request, which costs more than the request itself once a burst has
left some hundred idle ones. Here the newest idle connection is taken from the end of a list.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

from nexus_gateway.exchange import Waiter, given
from nexus_gateway.upstreams.certificates import UpstreamTls
from nexus_gateway.upstreams.connection import Connection
from nexus_gateway.upstreams.protocol import (
    Call,
    ConnectSlow,
    NotConnected,
    ResponseHead,
    Taker,
    UpstreamFault,
    UpstreamSlow,
)

_SENT = b"", b""
Connected = Callable[[Connection, float], None]
"""Told of a connection, and of the time of the loop until which the call's first byte must come."""
_IDLE = 1024  # connections kept for one endpoint; one more is closed when its call ends


class HttpUpstream:
    def __init__(self, url: str, tls: UpstreamTls, address: str | None = None) -> None:
        """`tls` is for https. `address` (`host:port`) is where to connect instead; the Host header and TLS name stay
        the URL's."""
        parts = urlsplit(url)
        self._path = parts.path.rstrip("/")
        self._authority = parts.netloc.encode()
        self._name = parts.hostname or ""
        self._tls = tls if parts.scheme == "https" else None
        self.secure = self._tls is not None
        host, port = self._name, parts.port or (443 if self._tls else 80)
        if address is not None:
            host, _, text = address.rpartition(":")
            port = int(text)
        self._host, self._port = host.strip("[]"), port
        self.idle: list[Connection] = []
        self.closed = False

    def send(self, call: Call) -> HttpAnswer:
        return HttpAnswer(self, call, self._request_head(call))

    def written(self, call: Call) -> bytes:
        """All of it, as it goes to the engine."""
        return self._request_head(call) + call.body

    def adopt(self, connection: Connection, call: Call, until: float) -> HttpAnswer:
        """The answer to a call that was sent straight over `connection`, and whose first byte must come `until` (time
        of the loop)."""
        answer = HttpAnswer(self, call, self._request_head(call))
        answer.adopt(connection, until)
        return answer

    def adopt_stream(self, connection: Connection, *, keep: bool) -> HttpAnswer:
        """The rest of an answer that has been relayed elsewhere until now."""
        answer = HttpAnswer(self, Call("", b"", b""), b"")
        answer.adopt_stream(connection, keep=keep)
        return answer

    def close(self) -> None:
        self.closed = True
        for connection in self.idle:
            connection.close()
        self.idle.clear()

    def take(self) -> Connection | None:
        while self.idle:
            connection = self.idle.pop()
            if connection.alive and self._current(connection):
                return connection
            connection.close()
        return None

    async def connect(self, seconds: float) -> Connection:
        """Raises NotConnected. The reason names no address: it may be told to clients."""
        loop = asyncio.get_running_loop()
        context = self._tls.context if self._tls else None
        if self._tls and context is None:
            raise NotConnected("this gateway has no good certificate for it")
        try:
            async with asyncio.timeout(seconds):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._put, self._drop, context),
                    self._host,
                    self._port,
                    ssl=context,
                    server_hostname=self._name if context else None,
                )
        except TimeoutError:
            raise ConnectSlow("it did not take the connection in time") from None
        except ssl.SSLError:
            raise NotConnected("its TLS certificate is not valid for it") from None
        except OSError:
            raise NotConnected("it does not take connections") from None
        return connection

    def _current(self, connection: Connection) -> bool:
        """False where it was made with a certificate that has been replaced since."""
        return self._tls is None or connection.tls is self._tls.context

    def _put(self, connection: Connection) -> None:
        if self.closed or len(self.idle) >= _IDLE or not self._current(connection):
            connection.close()
        else:
            self.idle.append(connection)

    def _drop(self, connection: Connection) -> None:
        if connection in self.idle:
            self.idle.remove(connection)

    def _request_head(self, call: Call) -> bytes:
        first = f"{call.method} {self._path}{call.path}".encode(), self._authority, call.lines
        if call.body or call.method == "POST":
            return b"%b HTTP/1.1\r\nhost: %b\r\n%bcontent-length: %d\r\n\r\n" % (*first, len(call.body))
        return b"%b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % first


class HttpAnswer:
    """One call. A pooled connection that the other side closed while it was idle is replaced, once and unseen."""

    __slots__ = ("_begun", "_connect_seconds", "_connected", "_connecting", "_connection", "_error", "_head",
                 "_request", "_until", "_upstream")  # fmt: skip

    def __init__(self, upstream: HttpUpstream, call: Call, head: bytes) -> None:
        self._upstream, self._request = upstream, (head, call.body)
        """Until its answer has begun: then it is not sent again."""
        self._connect_seconds = call.connect_seconds
        self._begun = False
        self._connected: Connected | None = None
        self._connection: Connection | None = None
        self._head: Waiter[ResponseHead] = Waiter()
        self._connecting: asyncio.Task[None] | None = None
        self._error: BaseException | None = None

    def adopt(self, connection: Connection, until: float) -> None:
        self._begun, self._until, self._connection = True, until, connection
        heard = connection.adopt(self)
        heard.then(lambda: self._settle(connection, heard))

    def adopt_stream(self, connection: Connection, *, keep: bool) -> None:
        self._request, self._connection = _SENT, connection
        connection.streaming_since(self, keep=keep)

    def connect(self, connected: Connected, seconds: float) -> Waiter[ResponseHead]:
        """Makes a connection, over which `connected` sends the request; what comes back fails where none can be had.
        The first byte must come within `seconds`."""
        self._begun, self._until, self._connected = True, asyncio.get_running_loop().time() + seconds, connected
        self._connect()
        return self._head

    def go_on_alone(self) -> None:
        """The request is sent from here, once it is connected."""
        self._connected = None

    def head(self, seconds: float) -> Waiter[ResponseHead]:
        if self._begun:  # it was sent straight
            return self._head
        if (pooled := self._upstream.take()) is not None:
            self._until = pooled.time() + seconds  # to ask for the running loop is a call of the system
            self._use(pooled)
        else:
            self._until = asyncio.get_running_loop().time() + seconds
            self._connect()
        return self._head

    def chunk(self, seconds: float) -> Waiter[bytes]:
        connection = self._connection
        if connection is not None and connection.owner is self:
            return connection.chunk(seconds)
        if connection is not None and self._error is None:
            return given(b"")  # the answer has ended, and the connection may carry another call by now
        waiter: Waiter[bytes] = Waiter()
        waiter.fail(self._error or UpstreamFault("it is not connected"))
        return waiter

    def pour(self, taker: Taker) -> None:
        connection = self._connection
        if connection is not None and connection.owner is self:
            connection.pour(taker)
        else:  # the answer has ended, and the connection may carry another call by now
            taker.over(self._error)

    def hold(self) -> None:
        if self._connection is not None and self._connection.owner is self:
            self._connection.hold()

    def go_on(self) -> None:
        if self._connection is not None and self._connection.owner is self:
            self._connection.go_on()

    def hurry(self) -> None:
        if self._connection is not None and self._connection.owner is self:
            self._connection.look_at_time()

    def abort(self, error: BaseException) -> None:
        self._error = error
        if self._connecting is not None:
            self._connecting.cancel()
        connection, self._connection = self._connection, None  # they hold each other
        if connection is not None and connection.owner is self:
            connection.abort(error)
        self._head.fail(error)

    def _connect(self) -> None:
        # The one task of a call, and only of a call that finds no idle connection.
        self._connecting = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        try:
            left = self._until - asyncio.get_running_loop().time()
            connection = await self._upstream.connect(min(left, self._connect_seconds))
        except UpstreamFault as error:
            self._head.fail(error)
            return
        finally:
            self._connecting = None
        if self._head.settled:  # given up meanwhile
            connection.close()
        elif (connected := self._connected) is not None:
            connected(connection, self._until)
        else:
            self._use(connection)

    def _use(self, connection: Connection) -> None:
        self._connection = connection
        connection.send(self, *self._request)
        heard = connection.head(self._until - connection.time())
        heard.then(lambda: self._settle(connection, heard))

    def _settle(self, connection: Connection, heard: Waiter[ResponseHead]) -> None:
        error = heard.error
        if error is None:
            self._request = _SENT
            self._head.give(heard.value)
        elif connection.used and not connection.heard and not isinstance(error, UpstreamSlow) and self._error is None:
            self._connect()
        else:
            self._head.fail(error)
