"""The way of the gateways' lines, by Vector's own figures: ops/vector, from the gateways to Elasticsearch."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_release.config import Settings
from nexus_release.watching.rules import Alert, Group, Place

JOB = "nexus-vector"
_AT = "namespace, instance, component_id"


def log_group(place: Place, settings: Settings) -> Group:
    vector = f'job=~"(.+/)?{JOB}",{place.selector}'
    return Group("logs", "The way of the logs", tuple(_alerts(vector)))


def _alerts(vector: str) -> Iterator[Alert]:
    # Whoever has never run Vector is not told that it is away.
    yield Alert(
        "NexusLogsDown",
        f"max by (namespace, instance) (up{{{vector}}}) == 0 and "
        f"max by (namespace, instance) (max_over_time(up{{{vector}}}[1d])) == 1",
        "5m",
        "warning",
        "Vector at {{ $labels.instance }} does not answer in {{ $labels.environment }}: lines wait.",
        "A Vector that was scraped within the last day could not be scraped for 5 minutes.",
        ("instance",),
    )
    discarded = f'vector_component_discarded_events_total{{{vector},intentional="false"}}'
    yield Alert(
        "NexusLogsDiscarded",
        # Vector begins to count at its first loss, and forgets a count that rests: a new one is an increase, too.
        f"sum by ({_AT}) (increase({discarded}[10m]) > 0 or ({discarded} unless {discarded} offset 10m) > 0)",
        "0m",
        "warning",
        "Vector's {{ $labels.component_id }} has lost lines in {{ $labels.environment }}.",
        "Within the last 10 minutes a part of Vector has thrown lines away that it should have passed on.",
        ("instance", "component_id"),
    )
    lag = f'sum by (namespace, component_id) (clamp_min(vector_kafka_consumer_lag{{{vector},partition_id!="-1"}}, 0))'
    taken = (
        "sum by (namespace, component_id) (increase("
        f'vector_component_received_events_total{{{vector},component_kind="source"}}[5m]))'
    )
    yield Alert(
        "NexusLogsBehind",
        f"{lag} > ({taken} or {lag} * 0)",  # what takes nothing has no count either, after a while
        "10m",
        "warning",
        "{{ $labels.component_id }} in {{ $labels.environment }} is more than 5 minutes behind.",
        "In Kafka more messages wait for Vector than it has taken in the last 5 minutes, and so for 10 minutes.",
        ("component_id",),
    )
    # Of disks alone: a full memory only means that Elasticsearch is slow. Vector 0.53 has renamed both.
    used, room = (
        f'max by ({_AT}) ({{__name__=~"vector_buffer_{names}",{vector}}})'
        for names in ("(byte_size|size_bytes)", "max_(byte_size|size_bytes)")
    )
    yield Alert(
        "NexusLogsBufferFull",
        f"{used} / {room} > 0.8",
        "10m",
        "warning",
        "Vector's buffer {{ $labels.component_id }} is almost full in {{ $labels.environment }}.",
        "A buffer on Vector's disk has been more than 80 % full for 10 minutes: when it is full, "
        "containers' lines are read no more.",
        ("instance", "component_id"),
    )
