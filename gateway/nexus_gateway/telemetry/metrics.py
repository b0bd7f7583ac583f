"""Figures kept as plain lists, and told to Prometheus when it asks."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from nexus_gateway.placing.outcomes import Note, Recall
from nexus_gateway.surfaces import KEPT
from nexus_gateway.telemetry import families
from nexus_gateway.telemetry.families import Family, Labels
from nexus_gateway.telemetry.gaps import Gaps, by_fewer
from nexus_gateway.telemetry.merged import Figures, add, figures_of, of_tenant, told
from nexus_gateway.telemetry.record import RequestRecord
from nexus_gateway.telemetry.usual import Counted, Kind, Usual

if TYPE_CHECKING:
    from nexus_gateway.siblings import Told

CLIENT_GONE = 499


Cell = list[float]
"""One figure, that is counted in place."""


class Counter:
    """A prometheus_client child costs several times what this dictionary does, on each request."""

    def __init__(self, family: Family, known: Iterable[str] = ()) -> None:
        """`known`: values of its one label, that are told from the start on."""
        self.kind = family
        self._cells: dict[Labels, Cell] = {(value,): [0] for value in known}

    def add(self, labels: Labels, amount: float = 1) -> None:
        self.cell(labels)[0] += amount

    def cell(self, labels: Labels) -> Cell:
        """Who counts the same again and again keeps it."""
        cell = self._cells.get(labels)
        if cell is None:
            cell = self._cells[labels] = [0]
        return cell

    def family(self, tenant: str | None = None) -> Metric:
        """`tenant`: of that one alone."""
        cells = list(self._cells.items())
        return self.kind.told({labels: cell[0] for labels, cell in cells if tenant is None or labels[0] == tenant})


class Histogram:
    def __init__(self, family: Family) -> None:
        self.kind, self._bounds = family, family.bounds
        self.values: dict[Labels, list[float]] = {}
        """One count for each bound, one for what is above all, and the sum."""

    def observe(self, labels: Labels, value: float) -> None:
        counts = self.of(labels)
        counts[bisect_left(self._bounds, value)] += 1
        counts[-1] += value

    def merge(self, labels: Labels, counts: Sequence[int], total: float) -> None:
        """Adds what was counted elsewhere by the same bounds, and its sum."""
        ours = self.of(labels)
        for place, count in enumerate(counts):
            ours[place] += count
        ours[-1] += total

    def family(self, tenant: str | None = None) -> Metric:
        """`tenant`: of that one alone."""
        family = HistogramMetricFamily(self.kind.name, self.kind.meaning, labels=self.kind.labels)
        for labels, counts in list(self.values.items()):
            if tenant is not None and labels[0] != tenant:
                continue
            total, buckets = 0.0, []
            for bound, count in zip((*map(str, self._bounds), "+Inf"), counts[:-1], strict=True):
                total += count
                buckets.append((bound, total))
            family.add_metric(labels, buckets, counts[-1])
        return family

    def of(self, labels: Labels) -> list[float]:
        counts = self.values.get(labels)
        if counts is None:
            counts = self.values[labels] = [0.0] * (len(self._bounds) + 2)
        return counts


class Metrics:
    """Names and labels are the public contract of docs/reference/metrics.md."""

    def __init__(self, state: Callable[[], Iterable[Metric]], lag: Callable[[], float]) -> None:
        """`state` gives what is known at the time of a scrape and is not counted here, `lag` the worst of the loop's
        since it was asked last."""
        self.in_flight = 0
        self.settle: Callable[[], None] = _nothing
        """Brings what has been counted elsewhere, before anything is told."""
        self.requests = Counter(families.REQUESTS)
        self.latency = Histogram(families.LATENCY)
        self.asked = Counter(families.UPSTREAM_REQUESTS)
        self.upstream_latency = Histogram(families.UPSTREAM_LATENCY)
        self.tried = Histogram(families.TRIED)
        self.retries = Counter(families.RETRIES)
        self.opened = Counter(families.CIRCUIT_OPEN)
        self.fallbacks = Counter(families.FALLBACKS)
        self.limited = Counter(families.RATE_LIMITED)
        self.limits = Counter(families.LIMIT_REFUSALS)
        self.first_byte = Histogram(families.FIRST_BYTE)
        self.inter_token = Histogram(families.INTER_TOKEN)
        self.tokens = Counter(families.TOKENS)
        self.tenant_requests = Counter(families.TENANT_REQUESTS)
        self.tenant_first_byte = Histogram(families.TENANT_FIRST_BYTE)
        self.tenant_inter_token = Histogram(families.TENANT_INTER_TOKEN)
        self.tenant_tokens = Counter(families.TENANT_TOKENS)
        self.answers = Counter(families.ANSWERS)
        self.drawn = Counter(families.DRAWN)
        self.drawn_first_byte = Histogram(families.DRAWN_FIRST_BYTE)
        self.drawn_call = Histogram(families.DRAWN_CALL)
        self.drawn_gap = Histogram(families.DRAWN_GAP)
        self.drawn_length = Histogram(families.DRAWN_LENGTH)
        self.drawn_endings = Counter(families.DRAWN_ENDINGS)
        self.idempotency = Counter(families.IDEMPOTENCY)
        self.masked = Counter(families.MASKED)
        self.placed = Counter(families.PLACED)
        self.scrapes = Counter(families.SCRAPES)
        self.recalls = Counter(families.RECALLS, get_args(Recall))
        self.notes = Counter(families.NOTES, get_args(Note))
        self.shadows = Counter(families.SHADOWS)
        self.shadows_dropped = Counter(families.SHADOWS_DROPPED)
        self._state, self._lag = state, lag
        self._usual: dict[Kind, Usual] = {}
        """As many as there are series of the counters."""

    def count(self, record: RequestRecord) -> None:
        """Adds a finished request."""
        if _is_usual(record):
            self._count_usual(record)
        else:
            self._count_any(record)
        if record.placed is not None:
            self.placed.add((record.route, record.placed.why))

    def _count_usual(self, record: RequestRecord) -> None:
        """The same by figures that were looked up once for all answers of this kind: else a dozen names are made and
        looked up for each."""
        called = record.tries[0]
        usual = self.usual_of(
            (record.method, record.path, record.status, record.route, record.release, called.upstream, called.status)
        )
        self.count_as(record, usual, called.ended - called.started)
        if record.gaps is not None:
            self._count_gaps(record, usual.made_by, record.gaps)

    def usual_of(self, kind: Kind) -> Usual:
        usual = self._usual.get(kind)
        if usual is None:
            usual = self._usual[kind] = Usual(self, kind)
        return usual

    def count_as(self, record: RequestRecord, usual: Usual, called: float) -> None:
        """Of an answer of that kind. `called`: seconds of its one call."""
        first_byte, tenant = record.first_byte - record.started, usual.of_tenant(self, record.tenant)
        usual.count(record.ended - record.started, first_byte, called)
        tenant.count(first_byte)
        if record.prompt_tokens or record.completion_tokens:
            tenant.tokens(self).add(record.prompt_tokens, record.completion_tokens)
        if record.cached_tokens:
            self._count_tokens(record, usual.made_by, "cached", record.cached_tokens)

    def add_usual(
        self, kind: Kind, tenant: str, answers: int, prompt: int, completion: int, cached: int,
        seconds: Sequence[Counted],
    ) -> None:  # fmt: skip
        """Answers of that kind that were counted elsewhere. `seconds`: whole, to the first byte, of the call, and to
        the first byte by the tenants' bounds."""
        usual = self.usual_of(kind)
        usual.add(answers, *seconds[:3])
        of_tenant = usual.of_tenant(self, tenant)
        of_tenant.add(answers, seconds[3])
        if prompt or completion:
            of_tenant.tokens(self).add(prompt, completion)
        if cached:
            self.tokens.add((*usual.made_by, "cached"), cached)
            self.tenant_tokens.add((tenant, *usual.made_by, "cached"), cached)

    def add_gaps(self, kind: Kind, tenant: str, counts: Sequence[int], total: float) -> None:
        """Of such answers that were streams."""
        _, _, _, route, release, _, _ = kind
        self.inter_token.merge((route, release), counts, total)
        self.tenant_inter_token.merge((tenant, route), by_fewer(counts), total)

    def _count_any(self, record: RequestRecord) -> None:
        seconds = record.ended - record.started
        self.requests.add((record.method, record.path, str(record.status)))
        self.latency.observe((record.method, record.path), seconds)
        if record.route:
            self.answers.add((record.route, record.release, str(record.status)))
            self.tenant_requests.add((record.tenant, record.route, str(record.status)))
            self.tried.observe((record.route,), len(record.tries))
        for called in record.tries:
            self.asked.add((called.upstream, called.status))
            self.upstream_latency.observe((called.upstream,), called.ended - called.started)
            if called.opened_circuit:
                self.opened.add((called.upstream,))
        for reason in record.retries:
            self.retries.add((reason,))
        if record.fallback_model and record.first_byte:
            self.fallbacks.add((record.model, record.fallback_model))
        if record.idempotency:
            self.idempotency.add((record.idempotency,))
        for direction, kinds in record.masked.items():
            for kind, values in kinds.items():
                self.masked.add((direction, kind), values)
        if record.limited:
            self.limited.add(())
            self.limits.add((record.limited,))
        if record.first_byte and record.route and record.path not in KEPT:  # else it was made before
            self._count_answer(record, (record.route, record.release))
        if record.drawn is not None:
            self._count_drawn(record, (record.model, record.drawn.release), record.drawn.name)

    def _count_answer(self, record: RequestRecord, made_by: Labels) -> None:
        self.first_byte.observe(made_by, record.first_byte - record.started)
        self.tenant_first_byte.observe((record.tenant, record.route), record.first_byte - record.started)
        if record.gaps is not None:
            self._count_gaps(record, made_by, record.gaps)
        if record.prompt_tokens or record.completion_tokens:
            self._count_tokens(record, made_by, "prompt", record.prompt_tokens)
            self._count_tokens(record, made_by, "completion", record.completion_tokens)
        if record.cached_tokens:
            self._count_tokens(record, made_by, "cached", record.cached_tokens)

    def _count_gaps(self, record: RequestRecord, made_by: Labels, gaps: Gaps) -> None:
        self.inter_token.merge(made_by, gaps.counts, gaps.total)
        self.tenant_inter_token.merge((record.tenant, record.route), by_fewer(gaps.counts), gaps.total)

    def _count_tokens(self, record: RequestRecord, made_by: Labels, kind: str, tokens: int) -> None:
        self.tokens.add((*made_by, kind), tokens)
        self.tenant_tokens.add((record.tenant, *made_by, kind), tokens)

    def _count_drawn(self, record: RequestRecord, arm: Labels, upstream: str) -> None:
        """As it was drawn, whoever has answered in the end: else the failures of one release, which the other makes
        good, would be told as the other's."""
        first = record.tries[0] if record.tries else None
        if first is None or first.upstream != upstream:
            self.drawn.add((*arm, "cancelled" if record.status == CLIENT_GONE else "uncalled"))
            return
        self.drawn.add((*arm, first.status))
        if not record.first_byte or len(record.tries) > 1:
            return
        self.drawn_first_byte.observe(arm, record.first_byte - first.started)
        if first.status != "200":
            return
        self.drawn_call.observe(arm, first.ended - first.started)
        if record.gaps is not None and (waits := sum(record.gaps.counts)):
            self.drawn_gap.observe(arm, record.gaps.total / waits)
        if record.completion_tokens:
            self.drawn_length.observe(arm, record.completion_tokens)
        self.drawn_endings.add((*arm, record.ending or "none"))

    async def render(self, gathered: Told | None = None, *, tenants: bool = True) -> bytes:
        """`gathered` from all processes of this gateway, where it has several; `tenants`: whether they are named. Read
        in the loop and written in a thread: of thousands of endpoints the text takes longer than any request should
        wait."""
        own = self.families(tenants=tenants)
        return await _text(own if gathered is None else told(self._of_all(gathered), own))

    async def render_tenant(self, tenant: str, gathered: Told | None = None) -> bytes:
        """What is counted of that tenant."""
        self.settle()
        own = (kept.family(tenant) for kept in self._kept() if kept.kind.names_tenants)
        if gathered is None:
            return await _text(own)
        parts = [of_tenant(part, tenant) for part in (gathered.gone, *gathered.figures)]
        return await _text(told(add(parts), own))

    def _of_all(self, gathered: Told) -> Figures:
        return add([gathered.gone, *gathered.figures]) | figures_of([
            families.WORKERS.told({("answering",): len(gathered.states), ("silent",): gathered.silent}),
            families.WORKER_RESTARTS.told({(): gathered.restarts}),
        ])  # fmt: skip

    def figures(self, *, scraped: bool = True) -> Figures:
        return figures_of(self.families(scraped=scraped))

    def families(self, *, scraped: bool = True, tenants: bool = True) -> Iterator[Metric]:
        self.settle()
        if scraped:
            yield families.LOOP_LAG.told({(): self._lag()})
        yield families.IN_FLIGHT.told({(): self.in_flight})
        yield families.WORKERS.told({("answering",): 1, ("silent",): 0})
        yield families.WORKER_RESTARTS.told({(): 0})
        for kept in self._kept():
            if tenants or not kept.kind.names_tenants:
                yield kept.family()
        yield from self._state()

    def _kept(self) -> Iterator[Counter | Histogram]:
        return (kept for kept in vars(self).values() if isinstance(kept, Counter | Histogram))


def _nothing() -> None:
    """All is counted here."""


async def _text(metrics: Iterable[Metric]) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Given(metrics))
    return await asyncio.to_thread(generate_latest, registry)


class _Given(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)


def _is_usual(record: RequestRecord) -> bool:
    """An answer by the first engine that was asked, of which nothing else is counted."""
    if not record.first_byte or not record.route or len(record.tries) != 1 or record.path in KEPT:
        return False
    special = record.retries or record.fallback_model or record.idempotency or record.masked or record.limited
    return not (special or record.drawn or record.tries[0].opened_circuit)
