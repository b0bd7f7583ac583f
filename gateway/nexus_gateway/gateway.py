"""The parts of a running gateway, assembled in one place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from nexus_gateway.breaker import Breakers, BreakerSettings
from nexus_gateway.keys import Keys
from nexus_gateway.served import Served
from nexus_gateway.snapshot import Snapshot
from nexus_gateway.telemetry.logs import LogWriter, event_line, request_line
from nexus_gateway.telemetry.metrics import Metrics
from nexus_gateway.telemetry.record import RequestRecord
from nexus_gateway.upstreams.http import HttpUpstream
from nexus_gateway.upstreams.mock import MockUpstream
from nexus_gateway.upstreams.protocol import Upstream


class Gateway:
    """What all requests of one process share."""

    def __init__(self, served: Served, keys: Keys, breaker: BreakerSettings, logs: LogWriter) -> None:
        self.served, self.keys, self.logs = served, keys, logs
        self.breakers = Breakers(breaker)
        self.metrics = Metrics(self._configuration)
        self.draining = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._endpoints: dict[tuple[str, str | None], Upstream] = {}

    def upstream(self, snapshot: Snapshot, name: str) -> Upstream:
        """The endpoint behind an upstream's name; its connections outlive a change of the configuration."""
        url = snapshot.table.upstreams[name].url
        address = snapshot.resolve.get(_host_port(url))
        key = (url, address)
        found = self._endpoints.get(key)
        if found is None:
            found = MockUpstream(url) if url.startswith("mock://") else HttpUpstream(url, address)
            self._endpoints[key] = found
        return found

    def forget_soon(self, snapshot: Snapshot) -> None:
        """`forget`, from another thread: connections belong to the loop that opened them."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.forget, snapshot)

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def forget(self, snapshot: Snapshot) -> None:
        """Drops what the snapshot names no more. Calls that are under way end as they would have."""
        named = {(u.url, snapshot.resolve.get(_host_port(u.url))) for u in snapshot.table.upstreams.values()}
        for key in self._endpoints.keys() - named:
            self._endpoints.pop(key).close()
        self.breakers.keep(set(snapshot.table.upstreams))
        self.logs.write(event_line("configuration taken", revision=snapshot.revision))

    def finish(self, record: RequestRecord) -> None:
        record.ended = time.monotonic()
        self.metrics.count(record)
        self.logs.write(request_line(record))

    def close(self) -> None:
        for endpoint in self._endpoints.values():
            endpoint.close()
        self._endpoints.clear()

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
        return info, refused, refusals, loaded, swaps, dropped


def _host_port(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
