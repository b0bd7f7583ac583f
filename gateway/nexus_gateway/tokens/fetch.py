"""How a key set is fetched."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Fetch = Callable[[str], Awaitable[bytes]]
"""From a URL to the whole body. Raises FetchFailed, or whatever its transport raises."""

LARGEST = 256 << 10
"""Bytes of a key set."""


class FetchFailed(Exception):
    """Not retried here. Its text holds nothing of the URL or the answer."""


def http_fetch() -> Fetch:
    """Over our own connections. Verifies certificates, by those of SSL_CERT_FILE where it is set."""
    import httpx

    from nexus_gateway.upstreams.certificates import UpstreamTls
    from nexus_gateway.upstreams.transport import PoolTransport

    trusted = UpstreamTls(httpx.create_ssl_context())  # once: reading the certificates takes tens of milliseconds

    async def fetch(url: str) -> bytes:
        async with (
            httpx.AsyncClient(transport=PoolTransport(trusted), trust_env=False) as client,
            client.stream("GET", url, headers={"accept": "application/json"}) as response,
        ):
            if response.status_code != 200:
                raise FetchFailed(f"status {response.status_code}")
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > LARGEST:
                    raise FetchFailed(f"longer than {LARGEST} bytes")
        return bytes(body)

    return fetch
