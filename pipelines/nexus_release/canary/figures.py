"""The gateways' counters as blocks of traffic: what each has grown by, whoever restarts, comes or goes meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nexus_release.canary.tallies import HISTOGRAMS, Block, Tally
from nexus_release.errors import Unreachable
from nexus_release.monitoring.windows import Window

PREFIX = "gateway_drawn_"
Series = tuple[str, str, str]
"""Name without PREFIX, release, and what the last label says; empty where there is no other label."""
Values = Mapping[Series, float]
"""Of one gateway at one moment. A series that is not there is at 0: gateways make them as they count."""

_HISTOGRAM_NAMES = {
    "first_byte": "first_byte_seconds",
    "inter_token": "inter_token_seconds",
    "cost": "call_seconds",
    "length": "answer_tokens",
}
_REFUSALS = ("refusal", "content_filter")


@dataclass(frozen=True)
class Arms:
    """Two releases of a model that a split draws, and since when with these weights."""

    environment: str
    model: str
    stable: str
    canary: str
    mark: str
    """Of the commit that has set the weight."""


Source = Literal["prometheus", "scrapes", "none"]


@dataclass(frozen=True)
class Looked:
    source: Source
    """`none` where no figures were asked for, or none were there until the deadline."""
    blocks: tuple[Block, ...]
    buckets: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()


def growth(before: Values, after: Values) -> dict[Series, float]:
    """Of the counters of one gateway. Where one has become less the process is another, and all of them began at 0."""
    if any(after.get(series, 0.0) < value for series, value in before.items()):
        before = {}
    return {series: value - before.get(series, 0.0) for series, value in after.items()}


def added(parts: Iterable[Values]) -> dict[Series, float]:
    found: dict[Series, float] = {}
    for part in parts:
        for series, value in part.items():
            found[series] = found.get(series, 0.0) + value
    return found


def buckets_of(values: Iterable[Values]) -> dict[str, tuple[str, ...]]:
    """Bounds of each histogram, without the one for all. Raises Unreachable where two gateways count by different
    ones: while versions of the gateway change nothing is compared."""
    found: dict[str, tuple[str, ...]] = {}
    for one in values:
        for name in HISTOGRAMS:
            bounds = _bounds(name, one)
            if bounds and found.setdefault(name, bounds) != bounds:
                raise Unreachable(f"gateways count {name} by different buckets: wait until all are of one version")
    return {name: found.get(name, ()) for name in HISTOGRAMS}


def block_of(window: Window, grown: Values, arms: Arms, buckets: Mapping[str, Sequence[str]]) -> Block:
    return Block(window=window, stable=_tally(grown, arms.stable, buckets), canary=_tally(grown, arms.canary, buckets))


def _tally(grown: Values, release: str, buckets: Mapping[str, Sequence[str]]) -> Tally:
    own = {(name, label): value for (name, of, label), value in grown.items() if of == release}
    calls = {label: value for (name, label), value in own.items() if name == "requests_total"}
    endings = {label: value for (name, label), value in own.items() if name == "endings_total"}
    counts = {field: _counts(_HISTOGRAM_NAMES[field], own, buckets[field]) for field in HISTOGRAMS}
    return Tally.model_validate({
        "requests": round(sum(calls.values())),
        "errors": round(sum(value for call, value in calls.items() if _failed(call))),
        "answers": round(sum(endings.values())),
        "refusals": round(sum(endings.get(ending, 0.0) for ending in _REFUSALS)),
        **counts,
        "tokens": round(own.get(("answer_tokens_sum", ""), 0.0)),
        "milliseconds": round(own.get(("call_seconds_sum", ""), 0.0) * 1000),
    })  # fmt: skip


def _failed(call: str) -> bool:
    return call in ("error", "uncalled", "429") or (len(call) == 3 and call.startswith("5"))


def _counts(name: str, own: Mapping[tuple[str, str], float], bounds: Sequence[str]) -> tuple[int, ...]:
    """Of Prometheus's cumulative buckets those that lie between two bounds."""
    if not bounds:
        return ()
    upto = [own.get((f"{name}_bucket", bound), 0.0) for bound in (*bounds, "+Inf")]
    return tuple(round(more - less) for less, more in zip([0.0, *upto], upto, strict=False))


def _bounds(name: str, values: Values) -> tuple[str, ...]:
    found = {label for series, _, label in values if series == f"{_HISTOGRAM_NAMES[name]}_bucket"} - {"+Inf"}
    return tuple(sorted(found, key=float))
