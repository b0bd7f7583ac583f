"""The figures of several processes as those of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import Metric

from nexus_gateway.telemetry.families import FAMILIES

Sample = tuple[str, list[list[str]], float]
"""Name, labels in their order, value."""
Figures = dict[str, list[Sample]]
"""Family -> its samples; of JSON, so lists for tuples are taken too."""

_FAMILIES = {one.name.removesuffix("_total"): one for one in FAMILIES}


def figures_of(families: Iterable[Metric]) -> Figures:
    return {family.name: [_sample(one.name, one.labels, one.value) for one in family.samples] for family in families}


def _sample(name: str, labels: Mapping[str, str], value: float) -> Sample:
    return name, [list(pair) for pair in labels.items()], value


def add(parts: Sequence[Figures], *, gauges: bool = True) -> Figures:
    """Counters and histograms are added; gauges as their family says, or left out: what has ended has no present."""
    found: dict[str, dict[tuple[str, tuple[tuple[str, ...], ...]], float]] = {}
    for part in parts:
        for name, samples in part.items():
            if _FAMILIES[name].kind == "gauge" and not gauges:
                continue
            ours = found.setdefault(name, {})
            for sample, labels, value in samples:
                key = (sample, tuple(map(tuple, labels)))
                ours[key] = _together(name, ours[key], value) if key in ours else value
    return {
        name: [(sample, [list(pair) for pair in labels], value) for (sample, labels), value in samples.items()]
        for name, samples in found.items()
    }


def of_tenant(figures: Figures, tenant: str) -> Figures:
    """Of those families that name tenants what is this one's."""
    named = (name for name in figures if _FAMILIES[name].names_tenants)
    return {name: [sample for sample in figures[name] if sample[1][0][1] == tenant] for name in named}


def told(figures: Figures, families: Iterable[Metric]) -> Iterator[Metric]:
    """The families again, with these samples in the place of their own."""
    for family in families:
        metric = Metric(family.name, family.documentation, family.type)
        for name, labels, value in figures.get(family.name, []):
            metric.add_sample(name, {pair[0]: pair[1] for pair in labels}, value)
        yield metric


def _together(name: str, first: float, second: float) -> float:
    return max(first, second) if _FAMILIES[name].over == "max" else first + second
