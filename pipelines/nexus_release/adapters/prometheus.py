"""Asks a Prometheus for figures over time, by its HTTP API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from nexus_release.errors import BadInput, NexusError, Unreachable
from nexus_release.terminal import plain_line

_SECONDS = 120.0  # for one answer; Prometheus itself ends a query after two minutes
_POINTS = 10_000  # of one series in one answer; Prometheus refuses more than 11,000
_SHOWN = 300  # characters of a refusal


@dataclass(frozen=True)
class Point:
    time: int
    """Unix time."""
    value: Decimal
    """Exactly as Prometheus wrote it."""


@dataclass(frozen=True)
class Series:
    labels: Mapping[str, str]
    points: tuple[Point, ...]
    """By time; where nothing was known there is none."""


class Prometheus:
    """Read only. A credential, where it asks for one, stands in the address: `https://name:word@host`."""

    def __init__(self, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise BadInput("--prometheus", url, "give its address: http://prometheus.monitoring.svc.cluster.local:9090")
        self._url = url.rstrip("/")

    def series(self, query: str, first: int, last: int, step: int) -> list[Series]:
        """The query at `first`, and every `step` seconds until `last`. Raises Unreachable, or NexusError for what
        Prometheus refuses."""
        found: dict[tuple[tuple[str, str], ...], list[Point]] = {}
        for begin in range(first, last + 1, step * _POINTS):
            end = min(last, begin + step * (_POINTS - 1))
            for labels, points in self._range(query, begin, end, step):
                found.setdefault(tuple(sorted(labels.items())), []).extend(points)
        return [Series(dict(labels), tuple(points)) for labels, points in sorted(found.items())]

    def samples(self, selector: str, at: datetime) -> list[Any]:
        """Of a range selector (`metric[5m]`) every series that ends at `at`, as it was scraped: `metric`, its labels,
        and `values`, each a time and a text. Raises what `series` raises."""
        result = self._ask("query", {"query": selector, "time": f"{at.timestamp():.3f}"})["result"]
        assert isinstance(result, list)  # noqa: S101 - narrows for mypy
        return result

    def _range(self, query: str, first: int, last: int, step: int) -> Iterator[tuple[Mapping[str, str], list[Point]]]:
        asked = {"query": query, "start": str(first), "end": str(last), "step": str(step)}
        for one in self._ask("query_range", asked)["result"]:
            points = [Point(int(time), Decimal(value)) for time, value in one["values"]]
            yield one["metric"], [point for point in points if point.value.is_finite()]

    def _ask(self, path: str, asked: Mapping[str, str]) -> Any:
        import httpx

        where = f"Prometheus at {httpx.URL(self._url).host}"
        try:
            answer = httpx.post(f"{self._url}/api/v1/{path}", data=asked, timeout=_SECONDS)
        except httpx.HTTPError as error:
            raise Unreachable(f"{where}: {type(error).__name__}: {error}") from None
        if answer.is_server_error and answer.status_code != httpx.codes.UNPROCESSABLE_ENTITY:
            raise Unreachable(f"{where}: {answer.status_code}")
        if not answer.is_success:
            raise NexusError(f"{where}: {answer.status_code} {plain_line(answer.text[:_SHOWN])}")
        return answer.json()["data"]
