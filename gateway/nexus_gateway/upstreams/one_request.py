"""The transport of one call of a library that would ask again, elsewhere or more than once."""

from __future__ import annotations

import httpx


class OneRequest(httpx.AsyncBaseTransport):
    """Lets one request through, to one origin. Keeps what came of it, since libraries tell it in their own words."""

    def __init__(self, pool: httpx.AsyncBaseTransport, origin: httpx.URL) -> None:
        self._pool, self._origin = pool, origin
        self._asked = False
        self.fault: httpx.TransportError | None = None
        self.response: httpx.Response | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._asked or _origin(request.url) != _origin(self._origin):
            raise self.fault or httpx.UnsupportedProtocol("one request to one origin, and no other")
        self._asked = True
        try:
            self.response = await self._pool.handle_async_request(request)
        except httpx.TransportError as error:
            self.fault = error
            raise
        return self.response

    async def aclose(self) -> None:
        """Cuts the request off where it is still under way."""
        if self.response is not None:
            await self.response.stream.aclose()  # type: ignore[union-attr]  # the pool's is an AsyncByteStream


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
