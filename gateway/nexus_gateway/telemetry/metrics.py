"""Figures kept as plain lists, and told to Prometheus when it asks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from nexus_gateway.telemetry.record import RequestRecord

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Seconds."""

Labels = tuple[str, ...]


class Counter:
    """A prometheus_client child costs several times what this dictionary does, on each request."""

    def __init__(self, name: str, text: str, labels: Labels) -> None:
        self.name, self.text, self.labels = name, text, labels
        self.values: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float = 1) -> None:
        self.values[labels] = self.values.get(labels, 0) + amount

    def family(self) -> Metric:
        family = CounterMetricFamily(self.name, self.text, labels=self.labels)
        for labels, value in list(self.values.items()):
            family.add_metric(labels, value)
        return family


class Histogram:
    def __init__(self, name: str, text: str, labels: Labels) -> None:
        self.name, self.text, self.labels = name, text, labels
        self.values: dict[Labels, list[float]] = {}
        """One count for each bound, one for what is above all, and the sum."""

    def observe(self, labels: Labels, value: float) -> None:
        counts = self.values.get(labels)
        if counts is None:
            counts = self.values[labels] = [0.0] * (len(BOUNDS) + 2)
        counts[bisect_left(BOUNDS, value)] += 1
        counts[-1] += value

    def family(self) -> Metric:
        family = HistogramMetricFamily(self.name, self.text, labels=self.labels)
        for labels, counts in list(self.values.items()):
            total, buckets = 0.0, []
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts[:-1], strict=True):
                total += count
                buckets.append((bound, total))
            family.add_metric(labels, buckets, counts[-1])
        return family


class Metrics:
    """Names and labels are the public contract of docs/reference/metrics.md."""

    def __init__(self, configuration: Callable[[], Iterable[Metric]]) -> None:
        """`configuration` gives what is known of the served configuration at the time of a scrape."""
        self.in_flight = 0
        self.requests = Counter("gateway_requests_total", "Requests.", ("method", "path", "status"))
        self.latency = Histogram("gateway_request_latency_seconds", "Whole requests.", ("method", "path"))
        self.asked = Counter("gateway_upstream_requests_total", "Calls of engines.", ("upstream", "status"))
        self.upstream_latency = Histogram("gateway_upstream_latency_seconds", "Whole calls.", ("upstream",))
        self.opened = Counter("gateway_circuit_open_total", "Circuits that opened.", ("upstream",))
        self.fallbacks = Counter(
            "gateway_fallback_used_total", "Answers by another model than was asked for.", ("from_model", "to_model")
        )
        self.limited = Counter("gateway_rate_limited_total", "Requests over their caller's limit.", ())
        self.limits = Counter("gateway_limit_refusals_total", "The same by limit.", ("limit",))
        self.first_byte = Histogram(
            "gateway_time_to_first_byte_seconds", "Until the answer's first byte.", ("route", "release")
        )
        self.tokens = Counter("gateway_tokens_total", "Tokens by the engine's account.", ("route", "release", "kind"))
        self.answers = Counter("gateway_release_requests_total", "Requests.", ("route", "release", "status"))
        self.shadows = Counter(
            "gateway_shadow_requests_total", "Copies of requests that have ended.", ("route", "upstream", "status")
        )
        self.shadows_dropped = Counter(
            "gateway_shadow_dropped_total", "Copies that were not made, by reason.", ("route", "reason")
        )
        self._configuration = configuration
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(self))

    def count(self, record: RequestRecord) -> None:
        """Adds a finished request."""
        seconds = record.ended - record.started
        self.requests.add((record.method, record.path, str(record.status)))
        self.latency.observe((record.method, record.path), seconds)
        if record.route:
            self.answers.add((record.route, record.release, str(record.status)))
        for called in record.tries:
            self.asked.add((called.upstream, called.status))
            self.upstream_latency.observe((called.upstream,), called.ended - called.started)
            if called.opened_circuit:
                self.opened.add((called.upstream,))
        if record.fallback_model and record.first_byte:
            self.fallbacks.add((record.model, record.fallback_model))
        if record.limited:
            self.limited.add(())
            self.limits.add((record.limited,))
        if record.first_byte and record.route:
            self.first_byte.observe((record.route, record.release), record.first_byte - record.started)
        if record.prompt_tokens or record.completion_tokens:
            self.tokens.add((record.route, record.release, "prompt"), record.prompt_tokens)
            self.tokens.add((record.route, record.release, "completion"), record.completion_tokens)

    def render(self) -> bytes:
        return generate_latest(self._registry)

    def families(self) -> Iterator[Metric]:
        flight = GaugeMetricFamily("gateway_in_flight_requests", "Requests under way.")
        flight.add_metric((), self.in_flight)
        yield flight
        for kept in vars(self).values():
            if isinstance(kept, Counter | Histogram):
                yield kept.family()
        yield from self._configuration()


class _Collector(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.families()
