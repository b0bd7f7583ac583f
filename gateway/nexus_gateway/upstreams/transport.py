"""httpx's clients over our own connections, for what is no client's request: checks, key sets, other libraries.

No proxy of the environment, no compressed answer (which has no bound before it is unpacked), bounded heads and bodies,
and httpx's own errors. Redirects are httpx's client's to follow, which it does where it is told to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TypeVar

import httpx

from nexus_gateway.exchange import Headers, Waiter
from nexus_gateway.upstreams.certificates import UpstreamTls
from nexus_gateway.upstreams.http import HttpAnswer, HttpUpstream
from nexus_gateway.upstreams.protocol import (
    CONNECT_SECONDS,
    Call,
    ConnectSlow,
    NotConnected,
    UpstreamFault,
    UpstreamSlow,
    written,
)

LARGEST_BODY = 16 << 20
"""Bytes of an answer."""
LARGEST_COMPLAINT = 64 << 10
"""Bytes of an answer with any status but 200."""

_METHODS = ("GET", "POST")
_OURS = (b"host", b"connection", b"content-length", b"transfer-encoding", b"accept-encoding")
_LONGEST_SECONDS = 3600.0  # where the client sets no timeout

T = TypeVar("T")


class PoolTransport(httpx.AsyncBaseTransport):
    """Keeps connections for each origin until it is closed. Belongs to one event loop."""

    def __init__(
        self,
        tls: UpstreamTls,
        resolve: Mapping[str, str] = MappingProxyType({}),
        *,
        largest: int = LARGEST_BODY,
    ) -> None:
        """`resolve`: `host:port` -> `address:port`, where to connect instead."""
        self._tls, self._resolve, self._largest = tls, resolve, largest
        self._pools: dict[str, HttpUpstream] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx's transport errors."""
        if request.method not in _METHODS or request.url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(f"{request.method} of {request.url.scheme} is not spoken here")
        timeouts = {name: _LONGEST_SECONDS if seconds is None else seconds for name, seconds in _timeouts(request)}
        call = Call(
            path=request.url.raw_path.decode("ascii"),
            lines=written(_headers(request)),
            body=await request.aread(),
            method=request.method,
            connect_seconds=min(timeouts["connect"], CONNECT_SECONDS),
        )
        answer = self._pool(request.url).send(call)
        with _as_httpx():
            head = await _settled(answer, answer.head(timeouts["connect"] + timeouts["read"]))
            if dict(head.headers).get(b"content-encoding", b"identity") != b"identity":
                answer.abort(UpstreamFault("not wanted"))
                raise httpx.DecodingError("the answer is compressed, which was not asked for")
        largest = self._largest if head.status == 200 else LARGEST_COMPLAINT
        return httpx.Response(
            head.status, headers=head.headers, stream=_Body(answer, timeouts["read"], largest), request=request
        )

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    def _pool(self, url: httpx.URL) -> HttpUpstream:
        host = f"[{url.host}]" if ":" in url.host else url.host
        place = f"{host}:{url.port or (443 if url.scheme == 'https' else 80)}"
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
        if origin not in self._pools:
            self._pools[origin] = HttpUpstream(origin, self._tls, self._resolve.get(place))
        return self._pools[origin]


class _Body(httpx.AsyncByteStream):
    """Read as it is asked for; the socket waits meanwhile. Closing it before its end has come cuts the connection."""

    def __init__(self, answer: HttpAnswer, seconds: float, largest: int) -> None:
        self._answer, self._seconds, self._left = answer, seconds, largest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            while data := await _settled(self._answer, self._answer.chunk(self._seconds)):
                self._left -= len(data)
                if self._left < 0:
                    raise UpstreamFault("its answer is too large")
                yield data

    async def aclose(self) -> None:
        while (rest := self._answer.chunk(0)).settled and rest.error is None and rest.value:
            pass  # what has come already, for the connection is kept where that is all
        self._answer.abort(UpstreamFault("given up"))


async def _settled(answer: HttpAnswer, waiter: Waiter[T]) -> T:
    """Awaits in asyncio what the pool settles from the socket. Cancelled, it cuts the call off."""
    woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiter.then(lambda: None if woken.done() else woken.set_result(None))
    try:
        await woken
    except asyncio.CancelledError:
        answer.abort(UpstreamFault("given up"))
        raise
    return await waiter


@contextmanager
def _as_httpx() -> Iterator[None]:
    try:
        yield
    except ConnectSlow as fault:
        raise httpx.ConnectTimeout(fault.reason) from None
    except NotConnected as fault:
        raise httpx.ConnectError(fault.reason) from None
    except UpstreamSlow as fault:
        raise httpx.ReadTimeout(fault.reason) from None
    except UpstreamFault as fault:
        raise httpx.RemoteProtocolError(fault.reason) from None


def _timeouts(request: httpx.Request) -> list[tuple[str, float | None]]:
    said = request.extensions.get("timeout", {})
    return [(name, said.get(name)) for name in ("connect", "read")]


def _headers(request: httpx.Request) -> Headers:
    kept = [(name.lower(), value) for name, value in request.headers.raw if name.lower() not in _OURS]
    return [*kept, (b"accept-encoding", b"identity")]
