"""Every engine's load, asked for once: for a person who wants to know why."""

from __future__ import annotations

import asyncio

from nexus_gateway.placing.scrapes import client_of, scraped
from nexus_gateway.prefix_routing.load import Load, Own, load_of
from nexus_gateway.routes import Endpoint, Upstream
from nexus_gateway.service_names import ServiceNames
from nexus_gateway.snapshot import Snapshot, build
from nexus_gateway.upstreams.certificates import UpstreamTls, tls_context

_NO_CALLS = Own()
_SECONDS = 10.0  # that an engine has for its answer: a person waits, and a gateway would not
_UNCACHED = 1000.0  # tokens of a waiting request: what a gateway learns from answers, nobody has learned here


async def loads_of(snapshot: Snapshot) -> tuple[Snapshot, dict[str, Load | None]]:
    """The snapshot with the pods of its Services, and the load by endpoint; None for one that says nothing."""
    names = ServiceNames()
    names.wanted = lambda: snapshot.table.services
    await asyncio.to_thread(names.look)
    found = build(snapshot.files, snapshot.resolve, 10.0, before=snapshot, addresses=names.addresses)
    asked = [(upstream, endpoint) for upstream in found.table.choosing for endpoint in upstream.endpoints]
    loads = await asyncio.gather(*(_load(found, upstream, endpoint) for upstream, endpoint in asked))
    return found, {endpoint.id: load for (_, endpoint), load in zip(asked, loads, strict=True)}


async def _load(snapshot: Snapshot, upstream: Upstream, endpoint: Endpoint) -> Load | None:
    tls = UpstreamTls(tls_context(endpoint.tls)) if endpoint.scheme == "https" else UpstreamTls()
    async with client_of(snapshot, endpoint, tls) as client:
        scrape = await scraped(client, upstream, endpoint, _SECONDS)
    return None if scrape is None else load_of(scrape, _NO_CALLS, _UNCACHED)
