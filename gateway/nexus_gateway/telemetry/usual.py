"""The figures of one kind of answer, looked up once: what most requests are counted in."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nexus_gateway.telemetry import families

if TYPE_CHECKING:
    from nexus_gateway.telemetry.metrics import Metrics

Kind = tuple[str, str, int, str, str, str, str]
"""Method, path, status, route, release, upstream, the engine's own status."""


Counted = tuple[Sequence[int], float]
"""Of a histogram: a count for each bound and one for what is above all, and the sum."""


class Usual:
    __slots__ = ("_answers", "_asked", "_first_byte", "_latency", "_requests", "_status", "_tenants", "_tried",
                 "_upstream_latency", "made_by")  # fmt: skip

    def __init__(self, metrics: Metrics, kind: Kind) -> None:
        method, path, status, route, release, upstream, engine_status = kind
        self.made_by = (route, release)
        self._requests = metrics.requests.cell((method, path, str(status)))
        self._latency = metrics.latency.of((method, path))
        self._answers = metrics.answers.cell((route, release, str(status)))
        self._tried = metrics.tried.of((route,))
        self._asked = metrics.asked.cell((upstream, engine_status))
        self._upstream_latency = metrics.upstream_latency.of((upstream,))
        self._first_byte = metrics.first_byte.of(self.made_by)
        self._tenants: dict[str, OfTenant] = {}
        self._status = str(status)

    def count(self, seconds: float, first_byte: float, called: float) -> None:
        self._requests[0] += 1
        self._answers[0] += 1
        self._asked[0] += 1
        self._tried[1] += 1  # by one engine: the bounds are 0, 1, ...
        self._tried[-1] += 1
        latency, first, engine = self._latency, self._first_byte, self._upstream_latency
        latency[bisect_left(families.LATENCY.bounds, seconds)] += 1
        latency[-1] += seconds
        first[bisect_left(families.FIRST_BYTE.bounds, first_byte)] += 1
        first[-1] += first_byte
        engine[bisect_left(families.UPSTREAM_LATENCY.bounds, called)] += 1
        engine[-1] += called

    def add(self, answers: int, latency: Counted, first_byte: Counted, called: Counted) -> None:
        """So many that were counted elsewhere."""
        for cell in (self._requests, self._answers, self._asked):
            cell[0] += answers
        self._tried[1] += answers
        self._tried[-1] += answers
        _merge(self._latency, latency)
        _merge(self._first_byte, first_byte)
        _merge(self._upstream_latency, called)

    def of_tenant(self, metrics: Metrics, tenant: str) -> OfTenant:
        found = self._tenants.get(tenant)
        if found is None:
            found = self._tenants[tenant] = OfTenant(metrics, tenant, *self.made_by, self._status)
        return found


class OfTenant:
    """What of it is one tenant's."""

    __slots__ = ("_first_byte", "_key", "_requests", "_tokens")

    def __init__(self, metrics: Metrics, tenant: str, route: str, release: str, status: str) -> None:
        self._requests = metrics.tenant_requests.cell((tenant, route, status))
        self._first_byte = metrics.tenant_first_byte.of((tenant, route))
        self._key = (tenant, route, release)
        self._tokens: Tokens | None = None
        """Once there are some: what has never been counted is in no scrape."""

    def count(self, first_byte: float) -> None:
        self._requests[0] += 1
        first = self._first_byte
        first[bisect_left(families.TENANT_SECONDS, first_byte)] += 1
        first[-1] += first_byte

    def add(self, answers: int, first_byte: Counted) -> None:
        """So many that were counted elsewhere."""
        self._requests[0] += answers
        _merge(self._first_byte, first_byte)

    def tokens(self, metrics: Metrics) -> Tokens:
        if self._tokens is None:
            self._tokens = Tokens(metrics, *self._key)
        return self._tokens


class Tokens:
    """Of one tenant by one release."""

    __slots__ = ("_completion", "_prompt", "_tenant_completion", "_tenant_prompt")

    def __init__(self, metrics: Metrics, tenant: str, *made_by: str) -> None:
        self._prompt, self._completion = (metrics.tokens.cell((*made_by, kind)) for kind in ("prompt", "completion"))
        self._tenant_prompt, self._tenant_completion = (
            metrics.tenant_tokens.cell((tenant, *made_by, kind)) for kind in ("prompt", "completion")
        )

    def add(self, prompt: int, completion: int) -> None:
        self._prompt[0] += prompt
        self._tenant_prompt[0] += prompt
        self._completion[0] += completion
        self._tenant_completion[0] += completion


def _merge(ours: list[float], counted: Counted) -> None:
    counts, total = counted
    for place, count in enumerate(counts):
        ours[place] += count
    ours[-1] += total
