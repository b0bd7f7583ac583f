"""The parts of a running gateway, assembled in one place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from nexus_gateway import routes
from nexus_gateway.auth import Credentials
from nexus_gateway.breaker import Breakers, BreakerSettings
from nexus_gateway.endpoints import Endpoints, choose
from nexus_gateway.exchange import Waiter, given
from nexus_gateway.gate import Full, Gate
from nexus_gateway.health import HealthChecks
from nexus_gateway.limits.limiter import Limiter
from nexus_gateway.limits.memory import MemoryLimiter
from nexus_gateway.limits.parallel import Parallel
from nexus_gateway.limits.shared import RedisLimiter
from nexus_gateway.request import Request
from nexus_gateway.retries import RetryBudget
from nexus_gateway.routes import Endpoint
from nexus_gateway.served import Served
from nexus_gateway.shadow_pairs import Shadows
from nexus_gateway.shedding import MOST_IN_FLIGHT
from nexus_gateway.snapshot import Snapshot
from nexus_gateway.telemetry.audit import AuditLog
from nexus_gateway.telemetry.lag import LoopLag
from nexus_gateway.telemetry.logs import LogWriter, event_line, request_line
from nexus_gateway.telemetry.metrics import Metrics
from nexus_gateway.telemetry.record import RequestRecord
from nexus_gateway.tokens.jwks import Jwks
from nexus_gateway.upstreams.http import HttpUpstream
from nexus_gateway.upstreams.mock import MockUpstream
from nexus_gateway.upstreams.protocol import Upstream


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
    ) -> None:
        """`jwks`: the published keys by which `known` proves tokens, if there are any. `most_in_flight`: requests under
        way, beyond which more are turned away."""
        self.most_in_flight = most_in_flight
        self.served, self.known, self.logs, self.audit = served, known, logs, audit
        self.limiter: Limiter = limiter or MemoryLimiter()
        self._jwks = jwks
        self.parallel, self._lag = Parallel(), LoopLag()
        self.breakers = Breakers(breaker)
        self.metrics = Metrics(self._configuration)
        self.draining = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._checking: asyncio.Task[None] | None = None
        self.endpoints, self.retries = Endpoints(), RetryBudget()
        self.shadows = Shadows(logs)
        self._pools: dict[_Place, Upstream] = {}
        self._gates: dict[str, Gate] = {}

    def upstream(self, snapshot: Snapshot, endpoint: Endpoint) -> Upstream:
        """What speaks with an endpoint; its connections outlive a change of the configuration."""
        place = _place(snapshot, endpoint)
        found = self._pools.get(place)
        if found is None:
            mock = endpoint.url.startswith("mock://")
            found = MockUpstream(endpoint.url) if mock else HttpUpstream(endpoint.url, place.address, endpoint.tls)
            self._pools[place] = found
        return found

    def choose(self, upstream: routes.Upstream, tried: set[str]) -> Endpoint | None:
        """The endpoint of the upstream that is asked next."""
        now = time.monotonic()
        ids = [endpoint.id for endpoint in upstream.endpoints]
        found = choose(ids, self.endpoints, lambda name: self.breakers.would_admit(name, now), tried, now)
        return next((endpoint for endpoint in upstream.endpoints if endpoint.id == found), None)

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
        """`forget`, from another thread: connections belong to the loop that opened them."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.forget, snapshot)

    async def begin(self) -> None:
        """In the loop that answers requests, before the first of them."""
        self._loop = loop = asyncio.get_running_loop()
        self._lag.begin(loop)
        if self._jwks is not None:
            self._jwks.begin(loop)
        await self.limiter.begin()
        checks = HealthChecks(lambda: self.served.current, self.endpoints, self._changed_health)
        self._checking = loop.create_task(checks.run())

    def _changed_health(self, endpoint: str, well: bool) -> None:
        message = "endpoint is well" if well else "endpoint is unwell"
        self.logs.write(event_line(message, "info" if well else "warning", endpoint=endpoint))

    def forget(self, snapshot: Snapshot) -> None:
        """Drops what the snapshot names no more. Calls that are under way end as they would have."""
        endpoints = [endpoint for upstream in snapshot.table.upstreams.values() for endpoint in upstream.endpoints]
        for gone in self._pools.keys() - {_place(snapshot, endpoint) for endpoint in endpoints}:
            self._pools.pop(gone).close()
        self.breakers.keep(snapshot.table.endpoints)
        self.endpoints.keep(snapshot.table.endpoints)
        self.logs.write(event_line("configuration taken", revision=snapshot.revision))

    def finish(self, record: RequestRecord) -> None:
        record.ended = time.monotonic()
        self.metrics.count(record)
        self.logs.write(request_line(record))
        if record.shadow is not None:
            record.shadow.told()
        if self.audit is not None:
            self.audit.write(record, record.model)

    def close(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
        self.limiter.close()
        self._lag.close()
        if self._jwks is not None:
            self._jwks.close()
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    def _configuration(self) -> Iterable[Metric]:
        served = self.served
        info = InfoMetricFamily("gateway_config", "The configuration that is served.")
        info.add_metric((), {"revision": served.current.revision})
        refused = GaugeMetricFamily("gateway_config_refused", "1 while newer configuration is refused.")
        refused.add_metric((), 1.0 if served.refused else 0.0)
        loaded = GaugeMetricFamily("gateway_config_loaded_timestamp_seconds", "When it was loaded.")
        loaded.add_metric((), served.current.loaded)
        refusals = CounterMetricFamily("gateway_config_refusals", "Configurations refused since the start.")
        refusals.add_metric((), served.refusals)
        swaps = CounterMetricFamily("gateway_config_swaps", "Configurations taken since the start.")
        swaps.add_metric((), served.swaps)
        dropped = CounterMetricFamily("gateway_log_lines_dropped", "Log lines that nobody took.")
        dropped.add_metric((), self.logs.dropped)
        unaudited = CounterMetricFamily("gateway_audit_lines_dropped", "Decisions that the audit log could not take.")
        unaudited.add_metric((), self.audit.dropped if self.audit else 0)
        again = CounterMetricFamily("gateway_retries_refused", "Second tries that the budget of retries turned away.")
        again.add_metric((), self.retries.refused)
        shared = self.limiter if isinstance(self.limiter, RedisLimiter) else None
        up = GaugeMetricFamily("gateway_limiter_shared", "1 while limits are counted in Redis, for all gateways.")
        up.add_metric((), 1.0 if shared and shared.up else 0.0)
        lost = CounterMetricFamily("gateway_limiter_corrections_lost", "True counts that Redis did not take.")
        lost.add_metric((), shared.lost if shared else 0)
        published = GaugeMetricFamily("gateway_jwks_keys", "Published keys by which tokens are proved.")
        published.add_metric((), self._jwks.status.keys if self._jwks else 0)
        lag = GaugeMetricFamily("gateway_loop_lag_seconds", "How late the loop was at worst since the last scrape.")
        lag.add_metric((), self._lag.take())
        waiting = GaugeMetricFamily("gateway_queue_depth", "Requests that wait for room.", labels=("upstream",))
        for name, gate in self._gates.items():
            waiting.add_metric((name,), gate.waiting)
        return info, refused, refusals, loaded, swaps, dropped, unaudited, again, up, lost, published, lag, waiting


@dataclass(frozen=True, slots=True)
class _Place:
    """What tells one pool of connections from another: where it leads, and by whose certificate."""

    endpoint: Endpoint
    address: str | None


def _place(snapshot: Snapshot, endpoint: Endpoint) -> _Place:
    return _Place(endpoint, snapshot.resolve.get(_host_port(endpoint.url)))


def _host_port(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
