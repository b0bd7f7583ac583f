"""The ports `Machines` and `Tokens`, by what a Prometheus has scraped of a cluster and of its gateways."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from nexus_release.adapters.prometheus import Prometheus, Series
from nexus_release.costs import queries
from nexus_release.costs.usage import UNKNOWN, Held, Made, Slots
from nexus_release.errors import Missing

_GIB = 1 << 30


class MeasuredUsage:
    """Of one namespace. What no series tells of is not there: an hour without kube-state-metrics costs nothing, and
    is told."""

    def __init__(self, prometheus: Prometheus, namespace: str, services: Mapping[str, tuple[str, str]]) -> None:
        """`services`: InferenceService -> (model, release), of every record."""
        self._prometheus, self._namespace, self._services = prometheus, namespace, services

    def held(self, slots: Slots) -> tuple[Sequence[Held], str]:
        seen = self._asked(queries.minutes_seen(self._namespace, slots.seconds), slots)
        minutes = sum(point.value for series in seen for point in series.points)
        if not minutes:
            raise Missing(
                f"Prometheus knew no pod of the namespace {self._namespace} in that time: does it scrape "
                "kube-state-metrics (kube_pod_container_resource_requests)?"
            )
        found: dict[tuple[int, str], dict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
        for series in self._asked(queries.minutes_held(self._namespace, slots.seconds), slots):
            named = re.fullmatch(queries.POD, series.labels["pod"])
            service = named[1] if named else series.labels["pod"]
            for slot, value in _by_slot(series, slots):
                found[slot, service][series.labels["resource"]] += Fraction(value) / 60
        told = f"machines: kube-state-metrics, {minutes:f} of {slots.count * slots.seconds // 60} minutes known"
        return [self._held(slot, service, hours) for (slot, service), hours in sorted(found.items())], told

    def made(self, slots: Slots) -> tuple[Sequence[Made], str]:
        """A counter that falls has begun anew, and one that was not there began at 0: what it then shows is new. What
        a gateway counted between a slot's end and its own end is lost."""
        found: dict[tuple[int, str, str], dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        first = slots.begin
        for series in self._prometheus.series(
            queries.tenant_tokens(self._namespace), first, first + slots.count * slots.seconds, slots.seconds
        ):
            labels = series.labels
            for slot, grown in _growth(series, slots):
                found[slot, labels["release"], labels["tenant"]][labels["kind"]] += grown
        made = [
            Made(slot, release, tenant, *(int(kinds[kind]) for kind in ("prompt", "cached", "completion")))
            for (slot, release, tenant), kinds in sorted(found.items())
        ]
        return made, "tokens: gateway_tenant_tokens_total"

    def _asked(self, query: str, slots: Slots) -> list[Series]:
        first = slots.begin + slots.seconds  # a slot is told at its end
        return self._prometheus.series(query, first, slots.begin + slots.count * slots.seconds, slots.seconds)

    def _held(self, slot: int, service: str, hours: Mapping[str, Fraction]) -> Held:
        model, release = self._services.get(service, (UNKNOWN, service))
        gib = hours.get(queries.MEMORY, Fraction()) / _GIB
        none = Fraction()
        return Held(slot, model, release, hours.get(queries.GPU, none), hours.get(queries.CPU, none), gib)


def _by_slot(series: Series, slots: Slots) -> Iterator[tuple[int, Decimal]]:
    for point in series.points:
        yield (point.time - slots.begin) // slots.seconds - 1, point.value


def _growth(series: Series, slots: Slots) -> Iterator[tuple[int, Decimal]]:
    before = Decimal(0)
    for point in series.points:
        slot = (point.time - slots.begin) // slots.seconds - 1
        if slot >= 0:
            yield slot, point.value - before if point.value >= before else point.value
        before = point.value
