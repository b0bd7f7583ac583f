"""What the log says of copied requests: how the engine that is tried out did beside the one that answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

Side = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """All pairs of one route with the same two engines."""

    route: str
    primary: str
    """Upstream, and its release where it has one."""
    shadow: str
    pairs: int
    statuses: Mapping[str, int]
    """`primary -> shadow` -> pairs."""
    figures: Mapping[str, Mapping[str, float]]
    """Figure -> of the primary and of the shadow: p50 and p95, and the median of the ratios of pairs, over those pairs
    that both answered with 200."""


FIGURES = ("first_byte_ms", "duration_ms", "answer_bytes", "completion_tokens")


def pairs_of(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The lines of pairs among those of a log; other lines are passed over."""
    found = []
    for line in lines:
        if '"shadow"' not in line:
            continue
        try:
            document = json.loads(line)
        except ValueError:
            continue
        if isinstance(document, dict) and document.get("message") == "shadow" and "primary" in document:
            found.append(document)
    return found


def compare(pairs: Iterable[Mapping[str, Any]]) -> list[Comparison]:
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for pair in pairs:
        key = (pair["route"], _name(pair["primary"]), _name(pair["shadow"]))
        groups.setdefault(key, []).append(pair)
    return [_compared(*key, group) for key, group in sorted(groups.items())]


def table(comparisons: Sequence[Comparison]) -> list[str]:
    lines = []
    for one in comparisons:
        lines += [f"{one.route}: {one.primary} beside {one.shadow}, {one.pairs} pairs"]
        lines += [f"  {count:6} {status}" for status, count in sorted(one.statuses.items())]
        if one.figures:
            lines += [f"  {'':18}{'p50':>10}{'shadow':>10}{'p95':>10}{'shadow':>10}{'ratio':>8}"]
        for name, found in one.figures.items():
            columns = (found["p50"], found["shadow_p50"], found["p95"], found["shadow_p95"])
            lines += [f"  {name:18}" + "".join(f"{value:10.1f}" for value in columns) + f"{found['ratio']:8.2f}"]
    return lines


def _compared(route: str, primary: str, shadow: str, pairs: Sequence[Mapping[str, Any]]) -> Comparison:
    statuses = Counter(f"{pair['primary']['status']} -> {pair['shadow']['status']}" for pair in pairs)
    both = [pair for pair in pairs if pair["primary"]["status"] == pair["shadow"]["status"] == "200"]
    figures = {name: _figure(name, both) for name in FIGURES}
    return Comparison(route, primary, shadow, len(pairs), dict(statuses), {k: v for k, v in figures.items() if v})


def _figure(name: str, pairs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    values = [(pair["primary"][name], pair["shadow"][name]) for pair in pairs]
    told = [(first, second) for first, second in values if first and second]
    if not told:
        return {}
    first, second = zip(*told, strict=True)
    return {
        "pairs": len(told),
        "p50": _percentile(first, 50),
        "p95": _percentile(first, 95),
        "shadow_p50": _percentile(second, 50),
        "shadow_p95": _percentile(second, 95),
        "ratio": median(theirs / ours for ours, theirs in told),
    }


def _percentile(values: Sequence[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


def _name(side: Side) -> str:
    return f"{side['upstream']} ({side['release'][:8]})" if side.get("release") else str(side["upstream"])
