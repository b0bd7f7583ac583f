"""Active checks: asks each endpoint that has one how it is, apart from all requests.

Two failures in a row make an endpoint unwell, one success makes it well again. Open: an endpoint that has not been
checked yet is well, and where all of an upstream are unwell all are asked (`endpoints.choose`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx

from nexus_gateway.endpoints import Endpoints
from nexus_gateway.routes import Endpoint, Upstream
from nexus_gateway.routes_file import HealthFile, TlsFile
from nexus_gateway.snapshot import Snapshot
from nexus_gateway.upstreams.http import tls_context

FAILURES = 2
"""In a row, before an endpoint counts as unwell: one lost answer is no illness."""
_LOOK_SECONDS = 0.25  # between two looks at what is due


class HealthChecks:
    def __init__(
        self, current: Callable[[], Snapshot], endpoints: Endpoints, tell: Callable[[str, bool], None]
    ) -> None:
        """`tell(endpoint id, well)` is called at each change."""
        self._current, self._endpoints, self._tell = current, endpoints, tell
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._contexts: dict[TlsFile, ssl.SSLContext] = {}
        """Made once: reading the authorities takes tens of milliseconds of the loop."""

    async def run(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            snapshot, now = self._current(), loop.time()
            checked = list(_checked(snapshot))
            self._forget({endpoint.id for _, endpoint, _ in checked})
            for upstream, endpoint, check in checked:
                if self._due.get(endpoint.id, 0.0) <= now:
                    self._due[endpoint.id] = now + check.interval_seconds
                    task = loop.create_task(self._check(snapshot, upstream, endpoint, check))
                    self._under_way.add(task)
                    task.add_done_callback(self._under_way.discard)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _check(self, snapshot: Snapshot, upstream: Upstream, endpoint: Endpoint, check: HealthFile) -> None:
        tls = self._context(endpoint)
        well = await _answers(snapshot, upstream, endpoint, check, tls)
        failures = self._failures[endpoint.id] = 0 if well else self._failures.get(endpoint.id, 0) + 1
        state = self._endpoints.of(endpoint.id)
        if (well and not state.well) or (state.well and failures >= FAILURES):
            state.well = well
            self._tell(endpoint.id, well)

    def _context(self, endpoint: Endpoint) -> ssl.SSLContext | None:
        if not endpoint.url.startswith("https://"):
            return None
        if endpoint.tls not in self._contexts:
            self._contexts[endpoint.tls] = tls_context(endpoint.tls)
        return self._contexts[endpoint.tls]

    def _forget(self, checked: set[str]) -> None:
        """An endpoint whose check is taken away is well."""
        for gone in self._due.keys() - checked:
            del self._due[gone]
            self._failures.pop(gone, None)
            self._endpoints.of(gone).well = True


def _checked(snapshot: Snapshot) -> Iterator[tuple[Upstream, Endpoint, HealthFile]]:
    for upstream in snapshot.table.upstreams.values():
        if upstream.health is not None:
            for endpoint in upstream.endpoints:
                if not endpoint.url.startswith("mock://"):
                    yield upstream, endpoint, upstream.health


async def _answers(
    snapshot: Snapshot, upstream: Upstream, endpoint: Endpoint, check: HealthFile, tls: ssl.SSLContext | None
) -> bool:
    """A connection of its own for each check: one that stays open says nothing of who wants a new one."""
    parts = urlsplit(endpoint.url)
    where = snapshot.resolve.get(f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}")
    url = f"{parts.scheme}://{where or parts.netloc}{parts.path}{check.path}"
    headers = {"host": parts.netloc, "accept-encoding": "identity"}
    if upstream.authorization:
        headers["authorization"] = upstream.authorization.decode()
    extensions = {"sni_hostname": parts.hostname}
    try:
        async with (
            httpx.AsyncClient(verify=tls or False, trust_env=False, timeout=check.timeout_seconds) as client,
            client.stream("GET", url, headers=headers, extensions=extensions) as answer,
        ):
            return answer.status_code == 200
    except (httpx.HTTPError, OSError):
        return False
