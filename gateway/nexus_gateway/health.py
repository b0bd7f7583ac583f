"""Active checks: asks each endpoint that has one how it is, apart from all requests.

Two failures in a row make an endpoint unwell, one success makes it well again. Open: an endpoint that has not been
checked yet is well, and where all of an upstream are unwell all are asked (`endpoints.choose`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from importlib import import_module

from nexus_gateway.endpoints import Endpoints
from nexus_gateway.routes import Endpoint, Upstream
from nexus_gateway.routes_file import HealthFile
from nexus_gateway.snapshot import Snapshot, resolved
from nexus_gateway.upstreams.certificates import Certificates, UpstreamTls

FAILURES = 2
"""In a row, before an endpoint counts as unwell: one lost answer is no illness."""
_BY_GRPC = ("grpc", "grpcs")
"""Asked by the contract's own call; the check's path means nothing there."""
_LOOK_SECONDS = 0.25  # between two looks at what is due


class HealthChecks:
    def __init__(
        self,
        current: Callable[[], Snapshot],
        endpoints: Endpoints,
        certificates: Certificates,
        tell: Callable[[str, bool], None],
    ) -> None:
        """`tell(endpoint id, well)` is called at each change."""
        self._current, self._endpoints, self._certificates, self._tell = current, endpoints, certificates, tell
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._under_way: set[asyncio.Task[None]] = set()

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
        if endpoint.scheme in _BY_GRPC:
            well = await _serves(snapshot, upstream, endpoint, check, self._certificates)
        else:
            tls = self._certificates.of(endpoint.tls) if endpoint.scheme == "https" else UpstreamTls()
            well = await _answers(snapshot, upstream, endpoint, check, tls)
        failures = self._failures[endpoint.id] = 0 if well else self._failures.get(endpoint.id, 0) + 1
        state = self._endpoints.of(endpoint.id)
        if (well and not state.well) or (state.well and failures >= FAILURES):
            state.well = well
            self._tell(endpoint.id, well)

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
                if endpoint.scheme in ("http", "https", *_BY_GRPC):
                    yield upstream, endpoint, upstream.health


async def _answers(
    snapshot: Snapshot, upstream: Upstream, endpoint: Endpoint, check: HealthFile, tls: UpstreamTls
) -> bool:
    """A connection of its own for each check: one that stays open says nothing of who wants a new one."""
    await asyncio.to_thread(import_module, "nexus_gateway.upstreams.transport")  # nothing else waits meanwhile
    import httpx

    from nexus_gateway.upstreams.transport import PoolTransport

    headers = {"authorization": upstream.authorization.decode()} if upstream.authorization else {}
    transport = PoolTransport(tls, resolved(snapshot, endpoint))
    try:
        async with (
            asyncio.timeout(check.timeout_seconds),
            httpx.AsyncClient(transport=transport, trust_env=False, timeout=check.timeout_seconds) as client,
            client.stream("GET", endpoint.url + check.path, headers=headers) as answer,
        ):
            return answer.status_code == 200
    except (httpx.HTTPError, OSError):  # a TimeoutError is an OSError
        return False


async def _serves(
    snapshot: Snapshot, upstream: Upstream, endpoint: Endpoint, check: HealthFile, certificates: Certificates
) -> bool:
    """By a connection of its own, as above."""
    from nexus_gateway.upstreams.grpc import GrpcUpstream  # loaded before, with the route

    tls = certificates.of(endpoint.tls) if endpoint.scheme == "grpcs" else None
    host = endpoint.url.partition("://")[2]
    engine = GrpcUpstream(endpoint.url, endpoint.tls, tls, endpoint.address or snapshot.resolve.get(host))
    headers = [(b"authorization", upstream.authorization)] if upstream.authorization else []
    try:
        return await engine.well(check.timeout_seconds, headers)
    finally:
        engine.close()
