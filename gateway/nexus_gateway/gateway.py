"""The parts of a running gateway, assembled in one place."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from prometheus_client.core import Metric

from nexus_gateway import routes
from nexus_gateway.asked import Asked
from nexus_gateway.auth import Credentials
from nexus_gateway.breaker import Breakers, BreakerSettings
from nexus_gateway.decisions.considered import Considered
from nexus_gateway.decisions.decision_log import DecisionLog
from nexus_gateway.endpoints import Endpoints, Seen
from nexus_gateway.exchange import Waiter, given
from nexus_gateway.gate import Full, Gate
from nexus_gateway.health import HealthChecks
from nexus_gateway.idempotency.memory import MemoryStore
from nexus_gateway.idempotency.settings import IdempotencySettings
from nexus_gateway.idempotency.under_way import UnderWay
from nexus_gateway.kept_responses.memory import MemoryPlaces
from nexus_gateway.kept_responses.place import KEPT_SECONDS, Places
from nexus_gateway.limits.limiter import Limiter
from nexus_gateway.limits.memory import MemoryLimiter
from nexus_gateway.limits.parallel import Parallel
from nexus_gateway.placing.placements import Placements
from nexus_gateway.placing.scrapes import Scrapes
from nexus_gateway.prefix_routing.load import Scrape
from nexus_gateway.request import Request
from nexus_gateway.retries import RetryBudget
from nexus_gateway.routes import Endpoint
from nexus_gateway.routes_file import TlsFile
from nexus_gateway.served import Served
from nexus_gateway.service_names import ServiceNames
from nexus_gateway.shadow_pairs import Shadows
from nexus_gateway.shedding import MOST_IN_FLIGHT
from nexus_gateway.siblings import Siblings
from nexus_gateway.snapshot import Snapshot
from nexus_gateway.straight.heads import KnownHeads
from nexus_gateway.surfaces import Surface
from nexus_gateway.telemetry import families
from nexus_gateway.telemetry.audit import AuditLog
from nexus_gateway.telemetry.batches import BatchWriter
from nexus_gateway.telemetry.lag import LoopLag
from nexus_gateway.telemetry.logs import LogWriter, event_line
from nexus_gateway.telemetry.metrics import Metrics
from nexus_gateway.telemetry.record import RequestRecord
from nexus_gateway.telemetry.request_line import request_line, request_text
from nexus_gateway.telemetry.sampling import sample_rate
from nexus_gateway.upstreams.certificates import Certificates
from nexus_gateway.upstreams.protocol import Upstream
from nexus_gateway.upstreams.schemes import SCHEMES, open_upstream

if TYPE_CHECKING:
    from nexus_gateway.placing.memory import PlacementMemory
    from nexus_gateway.straight.compiled import Compiled
    from nexus_gateway.tokens.jwks import Jwks


class Gateway:
    """What all requests of one process share."""

    def __init__(
        self,
        served: Served,
        known: Credentials,
        breaker: BreakerSettings,
        logs: LogWriter,
        audit: AuditLog | None = None,
        limiter: Limiter | None = None,
        jwks: Jwks | None = None,
        most_in_flight: int = MOST_IN_FLIGHT,
        spans: BatchWriter[RequestRecord] | None = None,
        under_way: UnderWay | None = None,
        places: Places | None = None,
        salt: bytes = b"",
    ) -> None:
        """`jwks`: the published keys by which `known` proves tokens, if there are any. `most_in_flight`: requests under
        way, beyond which more are turned away. `spans`: takes the requests that are to be traced, where a collector is
        named. `under_way`: answers by idempotency keys, and `places`: where responses are, both remembered in this
        process where they are not given. `salt`: makes names that say nothing of whom they stand for."""
        self.most_in_flight, self.salt = most_in_flight, salt
        self.served, self.known, self.logs, self.audit, self.spans = served, known, logs, audit, spans
        self.limiter: Limiter = MemoryLimiter() if limiter is None else limiter  # an empty one is false
        self.under_way = under_way or UnderWay(MemoryStore(IdempotencySettings()), IdempotencySettings())
        self.places: Places = places or MemoryPlaces(KEPT_SECONDS)
        self._jwks = jwks
        self.parallel, self._lag = Parallel(), LoopLag()
        self.breakers = Breakers(breaker)
        self.metrics = Metrics(self._state, self._lag.take)
        self.leaving = False
        """True once it is to end: probes say so, requests are still answered."""
        self.draining = False
        """True from then on when new requests are turned away."""
        self.native = False
        """Whether plain traffic is read and written in C, see native.py."""
        self._compiled: Compiled | None = None
        self.decisions: DecisionLog | None = None
        """Where decisions are kept."""
        self.placement_memory: PlacementMemory | None = None
        """Where it is remembered who has answered conversations, where there is a Redis."""
        self.siblings: Siblings | None = None
        """The other processes of the same gateway, where it has several."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looking: tuple[asyncio.Task[None], ...] = ()
        self.endpoints, self.retries = Endpoints(), RetryBudget()
        self.placements = Placements()
        self.names = ServiceNames()
        """Who asks where the pods of headless Services are."""
        self.shadows, self.heads = Shadows(logs), KnownHeads()
        self.certificates = Certificates(self._changed_certificate)
        self._pools: dict[_Place, Upstream] = {}
        self._spoken_with: dict[str, tuple[Endpoint, Mapping[str, str], Upstream]] = {}
        """What was found last in `_pools` for an endpoint's id, and for which endpoint and addresses: a place is made
        of a model of pydantic, whose hash takes longer than all else of a call."""
        self._gates: dict[str, Gate] = {}

    def upstream(self, snapshot: Snapshot, endpoint: Endpoint) -> Upstream:
        """What speaks with an endpoint; its connections outlive a change of the configuration."""
        known = self._spoken_with.get(endpoint.id)
        if known is not None and known[0] is endpoint and known[1] is snapshot.resolve:
            return known[2]
        place = _place(snapshot, endpoint)
        found = self._pools.get(place)
        if found is None:
            found = self._pools[place] = open_upstream(endpoint, place.address, self.certificates)
        self._spoken_with[endpoint.id] = (endpoint, snapshot.resolve, found)
        return found

    def look(self, upstream: routes.Upstream, tried: Collection[str]) -> list[Seen]:
        """The endpoints of the upstream that have not been tried, as they are now."""
        now, found = time.monotonic(), []
        for endpoint in upstream.endpoints:
            name = endpoint.id
            if name not in tried:
                state, admits = self.endpoints.of(name), self.breakers.would_admit(name, now)
                resting = state.rests_until > now
                found.append(Seen(name, self.breakers.state(name), admits, state.well, resting, state.in_flight))
        return found

    def considered(self, snapshot: Snapshot, surface: Surface, asked: Asked) -> Considered | None:
        """What is to be kept of a request's decision; None where nobody wants it."""
        if self.decisions is None:
            return None
        return Considered(surface.path, asked.model, known=asked.model in snapshot.table.routes)

    def retry_after(self, request: Request) -> int:
        """Whole seconds until one of the circuits of the route may be tried again."""
        now, table = time.monotonic(), request.snapshot.table
        upstreams = [table.upstreams[target.upstream] for target in request.route.targets]
        ids = [endpoint.id for upstream in upstreams for endpoint in upstream.endpoints]
        return min(self.breakers.retry_after(name, now) for name in ids)

    def enter(self, upstream: routes.Upstream, priority: int, tenant: str, tokens: int) -> Waiter[None]:
        """Room for one more call of the upstream, see `Gate.enter`; fails with Full after its `queue_seconds`."""
        if upstream.max_parallel is None:
            return given(None)
        gate = self._gates.setdefault(upstream.name, Gate(upstream.max_parallel))
        gate.limit = upstream.max_parallel
        place = gate.enter(priority, tenant, tokens)
        if not place.settled:
            asyncio.get_running_loop().call_later(upstream.queue_seconds, place.fail, Full())
        return place

    def free(self, upstream: routes.Upstream) -> bool:
        """True where a call of the upstream would not wait."""
        gate = self._gates.get(upstream.name)
        return upstream.max_parallel is None or gate is None or gate.free

    def leave(self, upstream: routes.Upstream) -> None:
        if upstream.max_parallel is not None:
            self._gates[upstream.name].leave()

    def forget_soon(self, snapshot: Snapshot) -> None:
        """`forget`, from another thread: connections belong to the loop that opened them, and to walk over thousands of
        endpoints would hold it up."""
        loop, named = self._loop, _named(snapshot)
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.forget, named)

    async def begin(self) -> None:
        """In the loop that answers requests, before the first of them."""
        self._loop = loop = asyncio.get_running_loop()
        self._lag.begin(loop)
        if self._jwks is not None:
            self._jwks.begin(loop)
        await self.limiter.begin()
        if self.siblings is not None:
            await self.siblings.begin()
        await self.under_way.store.begin()
        await self.places.begin()
        self.certificates.keep(_named(self.served.current).tls)
        checks = HealthChecks(lambda: self.served.current, self.endpoints, self.certificates, self._changed_health)
        self._keep_placements(self.served.current.table.choosing)
        if self.placements.remembers and self.placement_memory is not None:
            await self.placement_memory.begin()
        scrapes = Scrapes(lambda: self.served.current, self.certificates, self._scraped)
        runs = (checks.run(), self.certificates.run(), scrapes.run())
        self._looking = tuple(map(loop.create_task, runs))

    def _keep_placements(self, choosing: tuple[routes.Upstream, ...]) -> None:
        self.placements.keep(choosing, time.monotonic())
        if self.placements.remembers and self.placement_memory is None:
            message = "routes have memory_seconds, but GATEWAY_REDIS_URL is not set; prompts are placed without memory"
            self.logs.write(event_line(message, "warning"))

    def _scraped(self, upstream: routes.Upstream, endpoint: Endpoint, scrape: Scrape | None) -> None:
        self.metrics.scrapes.add((upstream.name, "failed" if scrape is None else "taken"))
        self.placements.scraped(endpoint.id, scrape, self.endpoints.of(endpoint.id).in_flight, time.monotonic())

    def _changed_health(self, endpoint: str, well: bool) -> None:
        message = "endpoint is well" if well else "endpoint is unwell"
        self.logs.write(event_line(message, "info" if well else "warning", endpoint=endpoint))

    def _changed_certificate(self, files: TlsFile, reason: str) -> None:
        if reason:
            message = "upstream certificate refused; the last good one stays"
            self.logs.write(event_line(message, "error", file=files.certificate or files.ca, reason=reason))
        else:
            self.logs.write(event_line("upstream certificate taken", file=files.certificate or files.ca))

    def forget(self, named: _Named) -> None:
        """Drops what the configuration names no more. Calls that are under way end as they would have."""
        self._spoken_with.clear()
        if self._compiled is not None:
            self._compiled.forget()
        for gone in self._pools.keys() - named.places:
            self._pools.pop(gone).close()
        self.certificates.keep(named.tls)
        self.breakers.keep(named.endpoints)
        self.endpoints.keep(named.endpoints)
        self._keep_placements(named.choosing)
        self.logs.write(event_line("configuration taken", revision=named.revision))

    def compiled(self) -> Compiled:
        """The straight way in C, in the loop that it is asked for in first."""
        if self._compiled is None:
            from nexus_gateway.straight.compiled import Compiled  # it is made of much that is made of a gateway

            self._compiled = Compiled(self)
        return self._compiled

    def go_on_in_python(self) -> None:
        """With all that is under way in C."""
        if self._compiled is not None:
            self._compiled.leave()

    def finish(self, record: RequestRecord) -> None:
        record.ended = time.monotonic()
        self.metrics.count(record)
        self.tell(record)

    def tell(self, record: RequestRecord) -> None:
        """Logs, audit and spans, of a request that has been counted."""
        if (rate := sample_rate(record)) is not None:
            text = request_text(record, rate)
            if text is not None:
                self.logs.write_text(text)
            else:
                self.logs.write(request_line(record, rate))
        if record.shadow is not None:
            record.shadow.told()
        if self.audit is not None:
            self.audit.write(record, record.model)
        if self.decisions is not None and record.considered is not None:
            self.decisions.write(record, record.considered)
        if self.spans is not None and record.sampled:
            self.spans.add(record)

    async def close(self) -> None:
        for looking in self._looking:
            looking.cancel()
        await self.limiter.close()
        await self.under_way.store.close()
        await self.places.close()
        if self.placement_memory is not None:
            await self.placement_memory.close()
        if self.siblings is not None:
            self.siblings.close()
        self._lag.close()
        if self._jwks is not None:
            self._jwks.close()
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    def told(self) -> dict[str, Any]:
        """What this process says of itself to the others."""
        refused = self.served.refused
        refusal = {"revision": refused.revision, "reason": refused.reason} if refused else None
        return {"pid": os.getpid(), "revision": self.served.current.revision, "refusal": refusal}

    def _state(self) -> Iterator[Metric]:
        served = self.served
        yield families.CONFIG.told({(served.current.revision,): 1})
        yield families.CONFIG_REFUSED.told({(): 1 if served.refused else 0})
        yield families.CONFIG_REFUSALS.told({(): served.refusals})
        yield families.CONFIG_LOADED.told({(): served.current.loaded})
        yield families.CONFIG_SWAPS.told({(): served.swaps})
        yield families.LOG_DROPPED.told({(): self.logs.dropped})
        yield families.AUDIT_DROPPED.told({(): self.audit.dropped if self.audit else 0})
        yield families.DECISIONS_DROPPED.told({(): self.decisions.dropped if self.decisions else 0})
        yield families.SPANS_DROPPED.told({(): self.spans.dropped if self.spans else 0})
        yield families.RETRIES_REFUSED.told({(): self.retries.refused})
        yield families.LIMITER_SHARED.told({(): 1 if self.limiter.shared else 0})
        yield families.CORRECTIONS_LOST.told({(): self.limiter.lost})
        yield families.IDEMPOTENCY_SHARED.told({(): 1 if self.under_way.store.shared else 0})
        yield families.JWKS_KEYS.told({(): self._jwks.status.keys if self._jwks else 0})
        yield families.QUEUE_DEPTH.told({(name,): gate.waiting for name, gate in self._gates.items()})
        upstreams = served.current.table.upstreams.values()
        yield from self.certificates.metrics(one for one in upstreams if SCHEMES[one.endpoints[0].scheme].tls)
        yield from self.names.metrics(served.current.table.upstreams.values())
        yield families.WEIGHTS.told(
            {
                (upstream.name, str(number)): weight
                for upstream in served.current.table.choosing
                for number, weight in enumerate(self.placements.weights(upstream, time.monotonic()), 1)
            }
        )
        yield families.CIRCUIT_STATE.told(
            {
                (upstream.name, str(number)): _CIRCUIT[self.breakers.state(endpoint.id)]
                for upstream in served.current.table.upstreams.values()
                for number, endpoint in enumerate(upstream.endpoints, 1)
                if endpoint.id in self.endpoints
            }
        )


_CIRCUIT = {"closed": 0, "half_open": 1, "open": 2}


@dataclass(frozen=True, slots=True)
class _Place:
    """What tells one pool of connections from another: where it leads, and by whose certificate."""

    endpoint: Endpoint
    address: str | None


@dataclass(frozen=True, slots=True)
class _Named:
    """By a configuration."""

    revision: str
    places: set[_Place]
    endpoints: set[str]
    tls: set[TlsFile]
    choosing: tuple[routes.Upstream, ...]


def _named(snapshot: Snapshot) -> _Named:
    upstreams = snapshot.table.upstreams.values()
    endpoints = [endpoint for upstream in upstreams for endpoint in upstream.endpoints]
    return _Named(
        snapshot.revision,
        {_place(snapshot, endpoint) for endpoint in endpoints},
        {endpoint.id for endpoint in endpoints},
        {endpoint.tls for endpoint in endpoints if SCHEMES[endpoint.scheme].tls},
        snapshot.table.choosing,
    )


def _place(snapshot: Snapshot, endpoint: Endpoint) -> _Place:
    return _Place(endpoint, endpoint.address or snapshot.resolve.get(_host_port(endpoint.url)))


@lru_cache(4096)  # asked with each call of an engine
def _host_port(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
