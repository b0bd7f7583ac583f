"""Asks each engine of an upstream with choice by prefix for its load, apart from all requests.

One that does not answer, or says nothing of its load, is unknown from then on (`load.with_unknown`), which is told by
`gateway_engine_scrapes_total`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from nexus_gateway.prefix_routing.figures import NoFigures, scrape_of
from nexus_gateway.prefix_routing.load import Scrape
from nexus_gateway.routes import Endpoint, Upstream
from nexus_gateway.snapshot import Snapshot, resolved
from nexus_gateway.upstreams.certificates import Certificates, UpstreamTls

if TYPE_CHECKING:
    import httpx

_LARGEST = 4 << 20  # bytes of an exposition
LONGEST_SECONDS = 1.0
"""That an engine has for an answer, or its interval where that is shorter."""
_LOOK_SECONDS = 0.05  # between two looks at what is due


async def scraped(client: httpx.AsyncClient, upstream: Upstream, endpoint: Endpoint, seconds: float) -> Scrape | None:
    """What an engine says within that time; None where it says nothing."""
    import httpx

    headers = {"authorization": upstream.authorization.decode()} if upstream.authorization else {}
    try:
        async with asyncio.timeout(seconds):
            answer = await client.get(endpoint.url + "/metrics", headers=headers, timeout=seconds)
        return scrape_of(answer.content) if answer.status_code == 200 else None
    except (httpx.HTTPError, OSError, NoFigures):  # a TimeoutError is an OSError
        return None


def client_of(snapshot: Snapshot, endpoint: Endpoint, tls: UpstreamTls) -> httpx.AsyncClient:
    """httpx is loaded with the first: most gateways have no engine to ask."""
    import httpx

    from nexus_gateway.upstreams.transport import PoolTransport

    transport = PoolTransport(tls, resolved(snapshot, endpoint), largest=_LARGEST)
    return httpx.AsyncClient(transport=transport, trust_env=False)


class Scrapes:
    """In one loop. Connections are kept, since an engine is asked every second."""

    def __init__(
        self,
        current: Callable[[], Snapshot],
        certificates: Certificates,
        tell: Callable[[Upstream, Endpoint, Scrape | None], None],
    ) -> None:
        """`tell` takes each result; None where there was none."""
        self._current, self._certificates, self._tell = current, certificates, tell
        self._due: dict[str, float] = {}
        self._clients: dict[Endpoint, httpx.AsyncClient] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                snapshot, now = self._current(), loop.time()
                asked = [
                    (upstream, endpoint) for upstream in snapshot.table.choosing for endpoint in upstream.endpoints
                ]
                await self._forget({endpoint for _, endpoint in asked})
                for upstream, endpoint in asked:
                    if self._due.get(endpoint.id, 0.0) <= now and endpoint.id not in self._under_way:
                        assert upstream.choice is not None  # noqa: S101 - those of `choosing` have one
                        self._due[endpoint.id] = now + upstream.choice.scrape_seconds
                        task = loop.create_task(self._ask(snapshot, upstream, endpoint))
                        self._under_way[endpoint.id] = task
                        task.add_done_callback(partial(self._done, endpoint.id))
                await asyncio.sleep(_LOOK_SECONDS if asked else 0.5)
        finally:
            await self._forget(set())

    def _done(self, endpoint: str, task: asyncio.Task[None]) -> None:
        if self._under_way.get(endpoint) is task:
            del self._under_way[endpoint]

    async def _ask(self, snapshot: Snapshot, upstream: Upstream, endpoint: Endpoint) -> None:
        assert upstream.choice is not None  # noqa: S101 - as above
        seconds = min(LONGEST_SECONDS, upstream.choice.scrape_seconds)
        if endpoint not in self._clients:
            await asyncio.to_thread(import_module, "nexus_gateway.upstreams.transport")  # nothing else waits meanwhile
        self._tell(upstream, endpoint, await scraped(self._client(snapshot, endpoint), upstream, endpoint, seconds))

    def _client(self, snapshot: Snapshot, endpoint: Endpoint) -> httpx.AsyncClient:
        if endpoint not in self._clients:
            tls = self._certificates.of(endpoint.tls) if endpoint.scheme == "https" else UpstreamTls()
            self._clients[endpoint] = client_of(snapshot, endpoint, tls)
        return self._clients[endpoint]

    async def _forget(self, named: set[Endpoint]) -> None:
        for gone in self._clients.keys() - named:
            self._due.pop(gone.id, None)
            if (task := self._under_way.pop(gone.id, None)) is not None:
                task.cancel()
            await self._clients.pop(gone).aclose()
