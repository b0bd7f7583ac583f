"""The engine's figures under vLLM's names and labels, so that one dashboard and one autoscaler read both."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from nexus_worker.engines.engine import Engine

_LABELS = ("model_name", "engine")
_REASONS = ("stop", "length", "abort", "error")
# Seconds, with vLLM's bounds: quantiles over both kinds of engine need the same.
_FIRST_TOKEN = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
)  # fmt: skip
_BETWEEN_TOKENS = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
)  # fmt: skip
_REQUEST = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
)  # fmt: skip


class Metrics:
    def __init__(self, model: str, engine: Engine) -> None:
        self._registry = CollectorRegistry()
        self._labels = (model, "0")  # vLLM numbers its engines; here there is one
        for name, text, value in (
            ("num_requests_running", "Number of requests in model execution batches.", lambda: engine.stats().running),
            ("num_requests_waiting", "Number of requests waiting to be processed.", lambda: engine.stats().waiting),
            ("kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", lambda: engine.stats().kv_cache),
        ):
            gauge = Gauge(f"vllm:{name}", text, _LABELS, registry=self._registry)
            gauge.labels(*self._labels).set_function(value)
        self._prompt_tokens = self._counter("prompt_tokens", "Number of prefill tokens processed.")
        self._generation_tokens = self._counter("generation_tokens", "Number of generation tokens processed.")
        self._prefix_queries = self._counter(
            "prefix_cache_queries", "Prefix cache queries, in terms of number of queried tokens."
        )
        self._prefix_hits = self._counter(
            "prefix_cache_hits", "Prefix cache hits, in terms of number of cached tokens."
        )
        self._cached = self._counter("prompt_tokens_cached", "Number of cached prompt tokens.")
        success = Counter(
            "vllm:request_success",
            "Count of finished requests.",
            (*_LABELS, "finished_reason"),
            registry=self._registry,
        )
        self._finished = {reason: success.labels(*self._labels, reason) for reason in _REASONS}
        self._first_token = self._histogram("time_to_first_token_seconds", "Time to first token.", _FIRST_TOKEN)
        self._between_tokens = self._histogram("inter_token_latency_seconds", "Time between tokens.", _BETWEEN_TOKENS)
        self._request = self._histogram("e2e_request_latency_seconds", "Time of a whole request.", _REQUEST)

    def first_token(self, prompt_tokens: int, cached: int | None, seconds: float) -> None:
        """`cached` of the prompt; None where nothing is kept. `seconds` since the request came, waiting included."""
        self._prompt_tokens.inc(prompt_tokens)
        if cached is not None:
            self._prefix_queries.inc(prompt_tokens)
            self._prefix_hits.inc(cached)
            self._cached.inc(cached)
        self._generation_tokens.inc()
        self._first_token.observe(seconds)

    def next_token(self, seconds: float) -> None:
        self._generation_tokens.inc()
        self._between_tokens.observe(seconds)

    def finished(self, reason: str, seconds: float) -> None:
        self._finished[reason].inc()
        self._request.observe(seconds)

    def exposition(self) -> bytes:
        return generate_latest(self._registry)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"vllm:{name}", text, _LABELS, registry=self._registry).labels(*self._labels)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        made = Histogram(f"vllm:{name}", text, _LABELS, buckets=buckets, registry=self._registry)
        return made.labels(*self._labels)
