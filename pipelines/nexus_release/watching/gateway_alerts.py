"""The gateway itself: whether it answers, how, and with which configuration. Few and true."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_release.config import Settings
from nexus_release.manifests.gateway_pods import GATEWAY
from nexus_release.watching.prompt_cache import prompt_cache_records
from nexus_release.watching.revision import blaming, revision_records
from nexus_release.watching.rules import Alert, Group, Place, Rule

MOST_IN_FLIGHT = 4000
"""What `GATEWAY_MAX_IN_FLIGHT` is where nobody sets it; from half of it on the unimportant are refused."""
LEAST_ASKED = 5
"""Requests in 5 minutes; that fewer fail at night wakes nobody, and is for the error budget to count."""
_POD = "namespace, instance, pod"


def gateway_selector(place: Place) -> str:
    return f'job="{GATEWAY}",{place.selector}'


def gateway_group(place: Place, settings: Settings) -> Group:
    gateway = gateway_selector(place)
    rules: tuple[Rule, ...] = (
        *revision_records(gateway, place),
        *prompt_cache_records(gateway),
        *_seen_by_callers(gateway, place, settings),
        *_behind_it(gateway, place, settings),
        *_within(gateway, place, settings),
    )
    return Group("gateway", "The gateway", rules)


def _seen_by_callers(gateway: str, place: Place, settings: Settings) -> Iterator[Alert]:
    none = f'label_replace(absent(up{{{gateway}}} == 1), "namespace", "{place.namespace}", "", "")'
    requests = f"sum by (namespace) (rate(gateway_requests_total{{{gateway}}}[5m]))"
    yield Alert(
        "NexusGatewayDown",
        blaming(none, place),
        "2m",
        "critical",
        "No gateway of {{ $labels.environment }} answers.",
        "No target of the gateway's job could be scraped for two minutes.",
        ("revision",),
    )
    yield Alert(
        "NexusGatewayErrors",
        blaming(
            f'sum by (namespace) (rate(gateway_requests_total{{{gateway},status=~"5.."}}[5m])) / {requests} > 0.05 '
            f"and sum by (namespace) (increase(gateway_requests_total{{{gateway}}}[5m])) >= {LEAST_ASKED}",
            place,
        ),
        "5m",
        "critical",
        "More than 5 % of requests in {{ $labels.environment }} end in a fault of ours.",
        f"Of at least {LEAST_ASKED} requests of the last 5 minutes more than 5 % ended with a status of 5xx, and so "
        "for 5 minutes.",
        ("revision",),
    )
    slow = settings.timeouts.first_byte_seconds / 2
    buckets = f"rate(gateway_time_to_first_byte_seconds_bucket{{{gateway}}}[5m])"
    yield Alert(
        "NexusGatewaySlow",
        blaming(
            f"histogram_quantile(0.95, sum by (namespace, route, release, le) ({buckets})) > {slow}",
            place,
        ),
        "10m",
        "warning",
        "First bytes of {{ $labels.route }} are late in {{ $labels.environment }}.",
        f"The first byte of one answer in twenty of a route and release takes more than {slow:g} s, half of its "
        "deadline, over the last 5 minutes, and so for 10 minutes.",
        ("route", "release", "revision"),
    )
    limited = f"sum by (namespace) (rate(gateway_rate_limited_total{{{gateway}}}[10m]))"
    yield Alert(
        "NexusGatewayRateLimited",
        blaming(
            f"{limited} / sum by (namespace) (rate(gateway_requests_total{{{gateway}}}[10m])) > 0.1",
            place,
        ),
        "10m",
        "warning",
        "More than 10 % of requests in {{ $labels.environment }} are over their caller's limit.",
        "Of the requests of the last 10 minutes more than 10 % were refused by a limit, and so for 10 minutes.",
        ("revision",),
    )


def _behind_it(gateway: str, place: Place, settings: Settings) -> Iterator[Alert]:
    calls = f"sum by (namespace, upstream) (rate(gateway_upstream_requests_total{{{gateway}}}[5m]))"
    failed = (
        f'sum by (namespace, upstream) (rate(gateway_upstream_requests_total{{{gateway},status=~"5..|error"}}[5m]))'
    )
    yield Alert(
        "NexusUpstreamErrors",
        blaming(f"{failed} / {calls} > 0.1", place),
        "5m",
        "warning",
        "More than 10 % of the calls of {{ $labels.upstream }} fail in {{ $labels.environment }}.",
        "Of the calls of one upstream in the last 5 minutes more than 10 % failed or got a status of 5xx, and so for "
        "5 minutes.",
        ("upstream", "revision"),
    )
    yield Alert(
        "NexusCircuitOpen",
        blaming(
            f"max by (namespace, upstream, endpoint) (max_over_time(gateway_circuit_state{{{gateway}}}[2m])) == 2",
            place,
        ),
        "5m",
        "warning",
        "Endpoint {{ $labels.endpoint }} of {{ $labels.upstream }} is left alone in {{ $labels.environment }}.",
        "The circuit of an endpoint was open at some time of the last 2 minutes at any gateway, and so for 5 minutes: "
        "tries in between did not close it.",
        ("upstream", "endpoint", "revision"),
    )
    at_once = settings.serving.concurrency
    yield Alert(
        "NexusQueueLong",
        blaming(f"sum by (namespace, upstream) (gateway_queue_depth{{{gateway}}}) > {at_once}", place),
        "5m",
        "warning",
        "Requests queue up for {{ $labels.upstream }} in {{ $labels.environment }}.",
        f"More than {at_once} requests, what one more pod would take at once, wait at the gateways for room at an "
        "upstream, and so for 5 minutes.",
        ("upstream", "revision"),
    )
    expires = f"min by (namespace, upstream) (gateway_upstream_certificate_expires_timestamp_seconds{{{gateway}}})"
    yield Alert(
        "NexusUpstreamCertificateEnds",
        f"({expires} - time()) / 86400 < 7",
        "1h",
        "warning",
        'The certificate that {{ $labels.upstream }} is shown ends in {{ $value | printf "%.1f" }} days.',
        "The certificate by which the gateway is known to an upstream ends within 7 days, and was not replaced for an "
        "hour.",
        ("upstream",),
    )


def _within(gateway: str, place: Place, settings: Settings) -> Iterator[Alert]:
    refused = f"max by ({_POD}) (gateway_config_refused{{{gateway}}}) == 1"
    yield Alert(
        "NexusConfigRefused",
        f"({refused}) * on (namespace, instance) group_left (revision) max by (namespace, instance, revision) "
        f"(gateway_config_info{{{gateway}}}) or on (namespace, instance) {blaming(refused, place)}",
        "5m",
        "warning",
        "A gateway of {{ $labels.environment }} refuses newer configuration, and serves an old one.",
        "A gateway has refused what its files say for 5 minutes; the revision named is the one that it still serves.",
        ("instance", "pod", "revision"),
    )
    yield Alert(
        "NexusRevisionsDisagree",
        blaming(
            f"count by (namespace) (count by (namespace, revision) (gateway_config_info{{{gateway}}})) > 1",
            place,
        ),
        "10m",
        "warning",
        "Gateways of {{ $labels.environment }} serve different configurations.",
        "More than one revision is served at once, and so for 10 minutes; the one named was loaded last.",
        ("revision",),
    )
    most = int(settings.gateway.variables.get("GATEWAY_MAX_IN_FLIGHT", MOST_IN_FLIGHT)) // 2
    yield Alert(
        "NexusGatewayFull",
        blaming(f"max by ({_POD}) (gateway_in_flight_requests{{{gateway}}}) > {most}", place),
        "2m",
        "critical",
        "A gateway of {{ $labels.environment }} is full, and refuses what is unimportant.",
        f"More than {most} requests, half of what a gateway takes, have been under way at one of them for 2 minutes.",
        ("instance", "pod", "revision"),
    )
    yield Alert(
        "NexusLoopLag",
        blaming(f"max by ({_POD}) (max_over_time(gateway_loop_lag_seconds{{{gateway}}}[2m])) > 0.5", place),
        "5m",
        "warning",
        "A gateway of {{ $labels.environment }} is short of processor time: all its requests wait.",
        "The loop of one gateway was late by more than half a second within each 2 minutes, and so for 5 minutes.",
        ("instance", "pod", "revision"),
    )
    alone = f"min by (namespace) (gateway_limiter_shared{{{gateway}}}) == 0"
    shared = f"max by (namespace) (max_over_time(gateway_limiter_shared{{{gateway}}}[1d])) == 1"
    yield Alert(
        "NexusLimitsNotShared",
        blaming(f"{alone} and {shared}", place),
        "5m",
        "warning",
        "Limits of {{ $labels.environment }} are counted by each gateway for itself: Redis does not answer.",
        "A gateway that has counted limits in Redis within the last day has not done so for 5 minutes.",
        ("revision",),
    )
    lost = " + ".join(
        f"sum by (namespace) (increase(gateway_{what}_lines_dropped_total{{{gateway}}}[10m]))"
        for what in ("audit", "decision", "log")
    )
    yield Alert(
        "NexusLinesLost",
        blaming(f"{lost} > 0", place),
        "0m",
        "warning",
        "Lines of the audit, decision or request log of {{ $labels.environment }} were lost.",
        "Within the last 10 minutes a gateway could not write a line of one of its logs.",
        ("revision",),
    )
