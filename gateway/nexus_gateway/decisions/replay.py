"""Recorded decisions under the routes that made them, and under others: which agree, and which would change."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nexus_gateway.decisions.decision_schema import Decision
from nexus_gateway.decisions.redecide import Outcome, Unknown, decided_again, recorded
from nexus_gateway.snapshot import Snapshot

_SHOWN = 20  # disagreements


@dataclass(frozen=True)
class Disagreement:
    """At its own revision: the record is wrong, or the gateway decides differently by now."""

    place: str
    """File and line."""
    recorded: str
    decided: str


@dataclass
class Change:
    """Decisions that other routes would change in the same way."""

    count: int = 0
    buckets: list[int] = field(default_factory=list)
    """Of those that have a place in the split of the route."""

    def add(self, bucket: int | None) -> None:
        self.count += 1
        if bucket is not None:
            self.buckets.append(bucket)


@dataclass
class Verdict:
    own: int = 0
    """Decisions that were made again by the routes that made them."""
    disagreements: list[Disagreement] = field(default_factory=list)
    other: int = 0
    """Decisions that were made again by other routes."""
    changes: dict[tuple[str, str, str], Change] = field(default_factory=lambda: defaultdict(Change))
    """(route, from, to), each the upstreams that were asked, in order."""
    unknown: Counter[str] = field(default_factory=Counter)
    """What other routes would want to know of a decision and the log has not -> how many."""
    revisions_not_found: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    """Decisions that have no line, as the log itself says."""
    unreadable: list[str] = field(default_factory=list)
    """Files and lines."""

    @property
    def sound(self) -> bool:
        return not self.disagreements and not self.unreadable

    def document(self) -> dict[str, Any]:
        return {
            "decisions": self.own,
            "agree": self.own - len(self.disagreements),
            "disagreements": [vars(one) for one in self.disagreements[:_SHOWN]],
            "under_other_routes": self.other,
            "changes": [_changed(*key, change) for key, change in sorted(self.changes.items())],
            "unknown": dict(self.unknown),
            "revisions_not_found": dict(self.revisions_not_found),
            "lost": self.lost,
            "unreadable": self.unreadable[:_SHOWN],
        }


def replay(
    lines: Iterable[tuple[str, Decision]], known: Mapping[str, Snapshot], other: Snapshot | None = None
) -> Verdict:
    """`lines` with their places. `known`: revision -> its routes. `other`: routes to decide by besides."""
    verdict = Verdict()
    for place, line in lines:
        own = known.get(line.revision)
        if own is not None:
            _hold(verdict, place, line, own)
        elif other is None:
            verdict.revisions_not_found[line.revision] += 1
        if other is not None and other.revision != line.revision:
            _compare(verdict, line, other)
    return verdict


def _hold(verdict: Verdict, place: str, line: Decision, own: Snapshot) -> None:
    verdict.own += 1
    then = recorded(line)
    try:
        now = decided_again(line, own.table)
    except Unknown as unknown:
        verdict.disagreements.append(Disagreement(place, then.story, str(unknown)))
        return
    if now != then:
        verdict.disagreements.append(Disagreement(place, _shown(then), _shown(now)))


def _compare(verdict: Verdict, line: Decision, other: Snapshot) -> None:
    verdict.other += 1
    try:
        now = decided_again(line, other.table)
    except Unknown as unknown:
        verdict.unknown[str(unknown)] += 1
        return
    then = recorded(line)
    if _asked(now) != _asked(then) or now.route != then.route:
        bucket = next((one.bucket for one in line.splits if one.route == line.route), None)
        verdict.changes[line.route or line.model, then.story, now.story].add(bucket)


def _asked(outcome: Outcome) -> Sequence[tuple[str, str]]:
    """Which endpoint of an upstream is asked is a matter of the moment, and not of routes."""
    return [(one.route, one.upstream) for one in outcome.asked]


def _shown(outcome: Outcome) -> str:
    return f"{outcome.route}: {' > '.join(one.endpoint for one in outcome.asked) or outcome.story}"


def _changed(route: str, before: str, after: str, change: Change) -> dict[str, Any]:
    span = [min(change.buckets), max(change.buckets)] if change.buckets else None
    return {"route": route, "from": before, "to": after, "count": change.count, "buckets": span}
