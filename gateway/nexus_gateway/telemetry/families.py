"""Every family of /metrics: the one table behind the code that fills them and docs/reference/metrics.md.

A counter's name ends in `_total`, one of seconds in `_seconds`, as promtool's linter has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

Labels = tuple[str, ...]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Of whole requests: up to the time that a request may take at most."""
GAPS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds between two events of a stream: finest where engines usually are, and up to a route's `chunk_seconds`, so
that a stall is told from a slow engine."""
TENANT_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Of SECONDS: there are as many histograms as tenants times models."""
TENANT_GAPS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
"""Of GAPS, so that what is counted by those is counted by these too."""
_TENTHS = (100, 125, 160, 200, 250, 315, 400, 500, 630, 800)
DRAWN_SECONDS = tuple(step / scale for scale in (10_000, 1000, 100, 10) for step in _TENTHS)
"""Ten to a power of ten, so that a tail which is 30 % slower lies in another bucket."""
DRAWN_GAPS = tuple(step / scale for scale in (100_000, 10_000, 1000) for step in _TENTHS)
DRAWN_TOKENS = (1.0, 2.0, 4.0, 6.0, *(step * scale / 100 for scale in (10, 100, 1000, 10_000) for step in _TENTHS[::2]))
TRIES = (0.0, 1.0, 2.0, 3.0, 5.0, 10.0)
"""Up to the most `tries` that a route may have."""


@dataclass(frozen=True)
class Family:
    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: Labels = ()
    bounds: tuple[float, ...] = ()
    """Of a histogram's buckets, without the one for everything above."""
    over: Literal["sum", "max"] = "sum"
    """What several processes of one gateway make of it."""

    @property
    def names_tenants(self) -> bool:
        """Its first label then does."""
        return self.labels[:1] == ("tenant",)

    def told(self, values: Mapping[Labels, float]) -> Metric:
        """Of a counter or gauge."""
        made = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}[self.kind]
        family: CounterMetricFamily | GaugeMetricFamily = made(self.name, self.meaning, labels=self.labels)
        for labels, value in values.items():
            family.add_metric(labels, value)
        return family


IN_FLIGHT = Family("gateway_in_flight_requests", "gauge", "Requests under way.")
REQUESTS = Family("gateway_requests_total", "counter", "Requests, at their end.", ("method", "path", "status"))
LATENCY = Family("gateway_request_latency_seconds", "histogram", "Whole requests.", ("method", "path"), SECONDS)
ANSWERS = Family(
    "gateway_release_requests_total", "counter", "Requests that had a route.", ("route", "release", "status")
)
FIRST_BYTE = Family(
    "gateway_time_to_first_byte_seconds",
    "histogram",
    "Until the answer's first byte; of a stream, until its first event, which engines send with the first token.",
    ("route", "release"),
    SECONDS,
)
INTER_TOKEN = Family(
    "gateway_inter_token_latency_seconds",
    "histogram",
    "Waits for the next event of a stream, about a token each; a slow client's own time is not in it.",
    ("route", "release"),
    GAPS,
)
TOKENS = Family(
    "gateway_tokens_total",
    "counter",
    "Tokens by the engine's account; cached ones are prompt tokens too.",
    ("route", "release", "kind"),
)
TENANT_TOKENS = Family(
    "gateway_tenant_tokens_total",
    "counter",
    "The same by tenant.",
    ("tenant", "route", "release", "kind"),
)
TENANT_REQUESTS = Family(
    "gateway_tenant_requests_total",
    "counter",
    "Requests that had a route, by tenant.",
    ("tenant", "route", "status"),
)
TENANT_FIRST_BYTE = Family(
    "gateway_tenant_first_byte_seconds",
    "histogram",
    "As `gateway_time_to_first_byte_seconds`, by tenant and with fewer buckets.",
    ("tenant", "route"),
    TENANT_SECONDS,
)
TENANT_INTER_TOKEN = Family(
    "gateway_tenant_inter_token_seconds",
    "histogram",
    "As `gateway_inter_token_latency_seconds`, by tenant and with fewer buckets.",
    ("tenant", "route"),
    TENANT_GAPS,
)
DRAWN = Family(
    "gateway_drawn_requests_total",
    "counter",
    "Requests that a split has drawn a release for, by what became of its first call; only while a route has a split.",
    ("route", "release", "call"),
)
DRAWN_FIRST_BYTE = Family(
    "gateway_drawn_first_byte_seconds",
    "histogram",
    "Of those that their release has answered: from its call to the first byte or event.",
    ("route", "release"),
    DRAWN_SECONDS,
)
DRAWN_CALL = Family(
    "gateway_drawn_call_seconds", "histogram", "The same to the answer's end.", ("route", "release"), DRAWN_SECONDS
)
DRAWN_GAP = Family(
    "gateway_drawn_inter_token_seconds",
    "histogram",
    "Mean wait for the next event of such a stream: one figure for each, since the waits of one stream are alike.",
    ("route", "release"),
    DRAWN_GAPS,
)
DRAWN_LENGTH = Family(
    "gateway_drawn_answer_tokens",
    "histogram",
    "Tokens of such an answer by the engine's account.",
    ("route", "release"),
    DRAWN_TOKENS,
)
DRAWN_ENDINGS = Family(
    "gateway_drawn_endings_total", "counter", "Why such an answer ended.", ("route", "release", "ending")
)
UPSTREAM_REQUESTS = Family(
    "gateway_upstream_requests_total",
    "counter",
    "Calls of engines, by the answer's status; `error`: none came whole; `cancelled`: the client left before it began.",
    ("upstream", "status"),
)
UPSTREAM_LATENCY = Family(
    "gateway_upstream_latency_seconds", "histogram", "Whole calls of engines.", ("upstream",), SECONDS
)
TRIED = Family(
    "gateway_upstream_tries", "histogram", "Calls of engines for one request; 0 where none was sent.", ("route",), TRIES
)
RETRIES = Family(
    "gateway_retries_total", "counter", "Second and later engines asked, by what the one before failed of.", ("reason",)
)
RETRIES_REFUSED = Family(
    "gateway_retries_refused_total", "counter", "Second tries that the budget of retries turned away."
)
FALLBACKS = Family(
    "gateway_fallback_used_total", "counter", "Answers by another model than was asked for.", ("from_model", "to_model")
)
IDEMPOTENCY = Family(
    "gateway_idempotency_total", "counter", "Requests with an idempotency key, by what came of it.", ("outcome",)
)
MASKED = Family(
    "gateway_masked_values_total",
    "counter",
    "Different values that were masked in a request or an answer, each once a request.",
    ("direction", "data"),
)
PLACED = Family(
    "gateway_prefix_choices_total",
    "counter",
    "Requests whose endpoint was chosen by the beginning of their prompt, by why it was asked.",
    ("route", "why"),
)
WEIGHTS = Family(
    "gateway_prefix_endpoint_weight",
    "gauge",
    "By what an endpoint's scores are weighed where the beginning of prompts chooses it: below 1 it was asked more "
    "than the mean while requests waited at all, and loses conversations; 1 while little waits.",
    ("upstream", "endpoint"),
    over="max",
)
SCRAPES = Family(
    "gateway_engine_scrapes_total", "counter", "Looks at the load of an engine's endpoint.", ("upstream", "outcome")
)
RECALLS = Family(
    "gateway_placement_recalls_total",
    "counter",
    "Conversations whose last endpoints were asked of Redis before a choice, by what it said within 2 ms; `nothing`: "
    "it is new.",
    ("outcome",),
)
NOTES = Family(
    "gateway_placement_notes_total",
    "counter",
    "Notes in Redis of where a conversation begins and who has answered it, by what became of them.",
    ("outcome",),
)
SERVICE_ENDPOINTS = Family(
    "gateway_service_endpoints",
    "gauge",
    "Addresses that the name of an upstream's headless Service leads to; 0 where none is known.",
    ("upstream",),
    over="max",
)
SERVICE_UNRESOLVED = Family(
    "gateway_service_unresolved", "gauge", "1 while its name leads nowhere; else 0.", ("upstream",), over="max"
)
IDEMPOTENCY_SHARED = Family(
    "gateway_idempotency_shared", "gauge", "1 while answers are kept in Redis, for all gateways; else 0.", over="max"
)
SHADOWS = Family(
    "gateway_shadow_requests_total", "counter", "Copies of requests that have ended.", ("route", "upstream", "status")
)
SHADOWS_DROPPED = Family(
    "gateway_shadow_dropped_total", "counter", "Copies that were not made, by reason.", ("route", "reason")
)
CIRCUIT_STATE = Family(
    "gateway_circuit_state",
    "gauge",
    "Of the breaker of each endpoint that was thought of since the start: 0 closed, 1 half open, 2 open.",
    ("upstream", "endpoint"),
    over="max",
)
CIRCUIT_OPEN = Family("gateway_circuit_open_total", "counter", "Circuits that opened.", ("upstream",))
QUEUE_DEPTH = Family("gateway_queue_depth", "gauge", "Requests that wait for room.", ("upstream",))
RATE_LIMITED = Family("gateway_rate_limited_total", "counter", "Requests over their caller's limit.")
LIMIT_REFUSALS = Family("gateway_limit_refusals_total", "counter", "The same by limit.", ("limit",))
LIMITER_SHARED = Family(
    "gateway_limiter_shared", "gauge", "1 while limits are counted in Redis, for all gateways; else 0.", over="max"
)
CORRECTIONS_LOST = Family("gateway_limiter_corrections_lost_total", "counter", "True counts that Redis did not take.")
CERTIFICATE_REFUSED = Family(
    "gateway_upstream_certificate_refused",
    "gauge",
    "1 while newer files of an upstream's `tls` are refused, and the last good ones are used.",
    ("upstream",),
    over="max",
)
CERTIFICATE_EXPIRES = Family(
    "gateway_upstream_certificate_expires_timestamp_seconds",
    "gauge",
    "When the certificate ends that the upstream is shown.",
    ("upstream",),
    over="max",
)
JWKS_KEYS = Family("gateway_jwks_keys", "gauge", "Published keys by which tokens are proved.", over="max")
CONFIG = Family(
    "gateway_config_info", "gauge", "1; its label names the configuration that is served.", ("revision",), over="max"
)
CONFIG_LOADED = Family(
    "gateway_config_loaded_timestamp_seconds", "gauge", "When it was loaded, as Unix time.", over="max"
)
CONFIG_SWAPS = Family("gateway_config_swaps_total", "counter", "Configurations taken since the start.")
CONFIG_REFUSED = Family("gateway_config_refused", "gauge", "1 while newer configuration is refused.", over="max")
CONFIG_REFUSALS = Family("gateway_config_refusals_total", "counter", "Configurations refused since the start.")
LOG_DROPPED = Family("gateway_log_lines_dropped_total", "counter", "Log lines that nobody took.")
AUDIT_DROPPED = Family("gateway_audit_lines_dropped_total", "counter", "Decisions that the audit log could not take.")
DECISIONS_DROPPED = Family(
    "gateway_decision_lines_dropped_total", "counter", "Decisions that the decision log could not take."
)
SPANS_DROPPED = Family("gateway_spans_dropped_total", "counter", "Spans that the collector did not take.")
LOOP_LAG = Family(
    "gateway_loop_lag_seconds", "gauge", "How late the loop was at worst since the last scrape.", over="max"
)
WORKERS = Family("gateway_workers", "gauge", "Processes of this gateway, by whether they answer.", ("state",))
WORKER_RESTARTS = Family("gateway_worker_restarts_total", "counter", "Processes that ended and were replaced.")

FAMILIES = tuple(value for value in list(globals().values()) if isinstance(value, Family))

LABELS = {
    "method": "The request's.",
    "path": "Of the API, as it is served; any other path is answered 404 and not counted.",
    "status": "As the client got it, 499 where it had gone; of a call: the engine's, `error`, or `cancelled`.",
    "route": "The route that answered, or was to: a model's name, or `default`.",
    "release": "Release id that the upstream serves; empty where it names none.",
    "call": "Status of the drawn release's call, `error` or `cancelled` as of any call; `uncalled` where it took none: "
    "its circuits were open, or it had no room.",
    "ending": "A word of the API, as `stop`, `length`, `content_filter` or `refusal`; `other`; `none`.",
    "kind": "`prompt`, `completion`, or `cached`: the part of the prompt that the engine had kept.",
    "upstream": "Its name in the route files.",
    "direction": "`requests` or `answers`.",
    "data": "What the value is: `key`, `email`, `rrn`, `iban`, `card`, `phone` or `ip`.",
    "endpoint": "Its number among the upstream's, from 1: addresses are not told to whoever may scrape.",
    "reason": "Of a retry: the condition's code, as in [errors.md](errors.md). Of a copy: `load`, `full`, `busy`, "
    "`no_endpoint` or `api_not_served`.",
    "limit": "`requests`, `tokens` or `parallel`.",
    "outcome": "`first` (an engine was called, its answer is kept), `unkept` (called, and not kept), `replayed`, "
    "`joined`, `conflict` or `unavailable`. Of a look at an engine: `taken`, or `failed`: it is then unknown. Of a "
    "look for who has answered: `found`, `nothing`, `late` (not within 2 ms), or `away` (Redis is down, or left alone "
    "for having been late). Of a note of it: `kept`, `lost`, or `dropped` (too many wait).",
    "why": "`home`, `holder` (it has answered the conversation lately), `new` (the conversation begins there, where "
    "there is room, and that is remembered), `next` (home had no room), `beyond` (nobody in the group's width had), "
    "`full` (nobody had), `short`, or `little` (too little of such prompts is found again, so that the endpoint with "
    "the least to do was asked).",
    "tenant": "Who the routes name in `policies` or `subjects`; `other` is everybody else.",
    "from_model": "The route that was asked for.",
    "to_model": "The route that answered.",
    "state": "`answering` or `silent`: one that does not answer is counted as it was when it last did.",
    "revision": "SHA-256 of the files, as in `x-nexus-revision`.",
}
"""Label -> its values. All come from the route files or from tables of ours, never from a client."""

_PAGE = """\
# Metrics

Made by `nexus-gateway reference metrics` from the table that the code fills; do not edit.

`/metrics` has these families, in Prometheus's text format. A counter begins at 0 with the gateway. Of several processes
(`--workers`) counters and histograms are added, gauges as the column `over` says. What a client
chooses freely is in no label, so that their number is bounded by the route files.

Those with the label `tenant` are told to a key with the scope `admin` alone, and to everybody on the port of
`--admin-port` or with `GATEWAY_METRICS_TENANTS=true`: they say who a company's customers or teams are, and how busy. At
`/v1/figures` any key sees those of its own tenant
([decision 37](../decisions/0037-tenants-are-named-to-those-who-hold-a-key.md)).

| family | kind | labels | meaning | over |
| --- | --- | --- | --- | --- |
{families}

## Labels

| label | values |
| --- | --- |
{labels}

## Buckets

{buckets}
"""


def page() -> str:
    """docs/reference/metrics.md."""
    rows = (
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.meaning} |"
        f" {one.over} |"
        for one in FAMILIES
    )
    labels = (f"| `{label}` | {values} |" for label, values in LABELS.items())
    buckets = (
        f"- `{one.name}`: {', '.join(f'{bound:g}' for bound in one.bounds)}"
        for one in FAMILIES
        if one.kind == "histogram"
    )
    return _PAGE.format(families="\n".join(rows), labels="\n".join(labels), buckets="\n".join(buckets))
