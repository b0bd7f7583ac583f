"""A recorded log decided by two sets of routes, and what moves from the one to the other.

Both are decided anew, by the gateway's own function, so that what differs between them is the routes alone. Whatever
the log cannot know is counted and not guessed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from nexus_gateway.decisions.decision_schema import Decision
from nexus_gateway.decisions.redecide import Outcome, Unknown, decided_again, recorded
from nexus_gateway.decisions.replay import Change
from nexus_gateway.routes import Table
from nexus_gateway.snapshot import Snapshot

UNROUTED = "(names that no route had)"
"""Of models: a client may write anything, so these are one line."""
NO_ROUTE = "404 model_not_found"
NOBODY = "nobody answers"
NOT_LOOKED = "no engine was looked for then: turned away before, or an earlier answer was given"


@dataclass
class Model:
    """What becomes of the decisions for one model."""

    decided: int = 0
    """By both."""
    moved: int = 0
    refused: int = 0
    """Of those that moved: have no route any more."""
    unknown: int = 0
    """Not decided by both."""
    before: Counter[str] = field(default_factory=Counter)
    """Who is asked first -> how often."""
    after: Counter[str] = field(default_factory=Counter)


@dataclass
class Simulation:
    old: Snapshot
    new: Snapshot
    decisions: int = 0
    first: str = ""
    """When the earliest of them was made; empty without any."""
    last: str = ""
    own: int = 0
    """Those that were made by the old routes."""
    disagreements: list[str] = field(default_factory=list)
    """Places of those of them that come out differently now: the line was changed, or this gateway decides differently.
    """
    turned_away: int = 0
    """By their callers' policies, then; whose these are the log does not know."""
    models: dict[str, Model] = field(default_factory=lambda: defaultdict(Model))
    changes: dict[tuple[str, str, str], Change] = field(default_factory=lambda: defaultdict(Change))
    """(model, from, to), each the upstreams that are asked, in order."""
    unknown: Counter[str] = field(default_factory=Counter)
    """What the routes want to know and the log has not -> how many."""
    assumed: Counter[str] = field(default_factory=Counter)
    """What was taken to be so, and decides -> how many."""

    @property
    def decided(self) -> int:
        return sum(model.decided for model in self.models.values())

    @property
    def moved(self) -> int:
        return sum(model.moved for model in self.models.values())

    @property
    def refused(self) -> int:
        return sum(model.refused for model in self.models.values())


def simulate(lines: Iterable[tuple[str, Decision]], old: Snapshot, new: Snapshot) -> Simulation:
    """`lines` with their places."""
    found = Simulation(old, new)
    for place, line in lines:
        found.decisions += 1
        found.first, found.last = min(found.first or line.time, line.time), max(found.last, line.time)
        if line.revision == old.revision:
            found.own += 1
        if not line.allowed:
            found.turned_away += 1
            continue
        model = found.models[line.model if line.known else UNROUTED]
        try:
            before, after = decided_again(line, old.table), decided_again(line, new.table)
        except Unknown as unknown:
            model.unknown += 1
            found.unknown[str(unknown)] += 1
            continue
        if line.revision == old.revision and before != recorded(line):
            found.disagreements.append(place)
        if line.tries is None and before.route == after.route is not None:
            model.unknown += 1
            found.unknown[NOT_LOOKED] += 1
            continue
        _compare(found, model, line, before, after)
    return found


def _compare(found: Simulation, model: Model, line: Decision, before: Outcome, after: Outcome) -> None:
    model.decided += 1
    was, becomes = story(before), story(after)
    model.before[was[0]] += 1
    model.after[becomes[0]] += 1
    for why in _assumed(line, after):
        found.assumed[why] += 1
    if _engines(before, found.old.table) == _engines(after, found.new.table):
        return
    model.moved += 1
    model.refused += after.route is None
    bucket = next((one.bucket for one in line.splits if one.route == before.route), None)
    same = " (changed)" if was == becomes else ""
    key = (line.model if line.known else UNROUTED, " > ".join(was), " > ".join(becomes) + same)
    found.changes[key].add(bucket)


def story(outcome: Outcome) -> list[str]:
    """Who is asked, one after the other; what happens where nobody is."""
    if outcome.route is None:
        return [NO_ROUTE]
    return [one.upstream for one in outcome.asked] or [NOBODY]


def _engines(outcome: Outcome, table: Table) -> list[object]:
    """Route and engines as they are: by another address, name or release an upstream is another engine. Which of its
    endpoints is asked is a matter of the moment."""
    asked = [(one.route, table.upstreams[one.upstream]) for one in outcome.asked]
    urls = [frozenset((endpoint.url, endpoint.api_base) for endpoint in upstream.endpoints) for _, upstream in asked]
    told = [(route, upstream.name, upstream.release, upstream.model) for route, upstream in asked]
    return [outcome.route, *zip(told, urls, strict=True)]


def _assumed(line: Decision, after: Outcome) -> list[str]:
    looked = {endpoint.endpoint for choice in line.choices for endpoint in choice.endpoints}
    routes = {choice.asked.route for choice in line.choices if choice.asked}
    found = set[str]()
    for one in after.asked:
        if one.endpoint not in looked:
            found.add(f"that {one.endpoint} is idle, well and answers")
        if one.route not in (after.route, *routes):
            found.add(f"that the caller may use the fallback {one.route}")
    return sorted(found)
