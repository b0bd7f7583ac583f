"""What a simulation has found: for people, programs and pull requests. The same log and routes give the same text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from nexus_gateway.decisions.changed_rules import ChangedPolicy, ChangedRule, changed_policies, changed_rules
from nexus_gateway.decisions.simulation import Simulation
from nexus_gateway.markup import plain

_SHOWN = 20  # lines of a kind


@dataclass(frozen=True)
class Report:
    found: Simulation
    lost: int
    """Decisions that have no line, as the log itself says."""
    unreadable: list[str]
    rules: list[ChangedRule]
    policies: list[ChangedPolicy]
    beyond: list[str]
    """Bounds that were given and do not hold."""

    @property
    def sound(self) -> bool:
        return not (self.found.disagreements or self.unreadable or self.beyond)

    @property
    def concerned(self) -> int:
        """Decisions for models that some changed policy opens or closes: at most so many come out otherwise."""
        models = {model for one in self.policies for model in (*one.gains, *one.loses)}
        return sum(model.decided for name, model in self.found.models.items() if name in models)

    def document(self) -> dict[str, Any]:
        found = self.found
        return {
            "sound": self.sound,
            "old": found.old.revision,
            "new": found.new.revision,
            "log": {
                "decisions": found.decisions,
                "first": found.first or None,
                "last": found.last or None,
                "by_old": found.own,
                "disagreements": found.disagreements[:_SHOWN],
                "turned_away_then": found.turned_away,
                "lost": self.lost,
                "unreadable": self.unreadable[:_SHOWN],
            },
            "decided": found.decided,
            "moved": found.moved,
            "moved_percent": _percent(found.moved, found.decided),
            "refused": found.refused,
            "models": {
                name: {
                    "decided": one.decided,
                    "moved": one.moved,
                    "moved_percent": _percent(one.moved, one.decided),
                    "refused": one.refused,
                    "unknown": one.unknown,
                    "asked_first": {
                        upstream: [one.before[upstream], one.after[upstream]]
                        for upstream in sorted({*one.before, *one.after})
                    },
                }
                for name, one in sorted(found.models.items())
            },
            "changes": [
                {"model": model, "from": before, "to": after, "count": one.count, "buckets": _span(one.buckets)}
                for (model, before, after), one in sorted(found.changes.items())
            ],
            "unknown": dict(sorted(found.unknown.items())),
            "assumed": dict(sorted(found.assumed.items())),
            "rules": [asdict(one) for one in self.rules],
            "policies": [asdict(one) for one in self.policies],
            "concerned_by_policies": self.concerned,
            "beyond": self.beyond,
        }


def report(
    found: Simulation, lost: int, unreadable: list[str], max_moved: float | None, max_refused: int | None
) -> Report:
    """`max_moved`: percent of what was decided."""
    beyond = []
    if max_moved is not None and found.moved * 100 > max_moved * found.decided:
        beyond.append(f"{_percent(found.moved, found.decided):g} % move, and at most {max_moved:g} % may")
    if max_refused is not None and found.refused > max_refused:
        beyond.append(f"{found.refused} would be refused, and at most {max_refused} may")
    old, new = found.old.table, found.new.table
    return Report(found, lost, unreadable, changed_rules(old, new), changed_policies(old, new), beyond)


def lines(told: Report) -> Iterator[str]:
    found = told.found
    yield f"{found.old.revision[:12]} -> {found.new.revision[:12]}, by {_log(found)}"
    yield f"{_moved(found.moved, found.decided)}, {found.refused} of them find no model any more"
    for name, one in sorted(found.models.items()):
        yield f"{name}: {_moved(one.moved, one.decided)}, {one.unknown} unknown"
        for (model, before, after), change in sorted(found.changes.items()):
            if model == name:
                yield f"  {before} -> {after}: {change.count}{_buckets(change.buckets)}"
    yield from (f"changed: {one.name} ({one.change})" for one in told.rules)
    yield from _policy_lines(told)
    yield from _caveats(told)
    yield from (f"BEYOND: {one}" for one in told.beyond)


def markdown(told: Report) -> Iterator[str]:
    """For a pull request."""
    found = told.found
    yield f"### What moves: {_percent(found.moved, found.decided):g} % of {found.decided} recorded decisions"
    yield ""
    yield f"Routes `{found.old.revision[:12]}` → `{found.new.revision[:12]}`, by {_log(found)}."
    yield ""
    yield "| model | decisions | move | refused | unknown | who is asked first: before → after |"
    yield "| --- | ---: | ---: | ---: | ---: | --- |"
    for name, one in sorted(found.models.items()):
        moved = f"{one.moved} ({_percent(one.moved, one.decided):g} %)"
        asked = ", ".join(
            f"{plain(upstream)} {_percent(one.before[upstream], one.decided):g} → "
            f"{_percent(one.after[upstream], one.decided):g} %"
            for upstream in sorted({*one.before, *one.after})
        )
        yield f"| {plain(name)} | {one.decided} | {moved} | {one.refused} | {one.unknown} | {asked} |"
    if found.changes:
        yield ""
        yield "| model | from | to | decisions |"
        yield "| --- | --- | --- | --- |"
        for (model, before, after), change in sorted(found.changes.items()):
            cells = (plain(model), plain(before), plain(after), f"{change.count}{_buckets(change.buckets)}")
            yield f"| {' | '.join(cells)} |"
    rest = [*(f"{one.name}: {one.change}" for one in told.rules), *_policy_lines(told), *_caveats(told), *told.beyond]
    if rest:
        yield ""
        yield from (f"- {plain(one)}" for one in rest)


def _log(found: Simulation) -> str:
    span = f" from {found.first} to {found.last}" if found.first else ""
    return f"{found.decisions} decisions{span}, {found.own} of them made by the old routes"


def _policy_lines(told: Report) -> Iterator[str]:
    for one in told.policies:
        changed = "; ".join(f"{field}: {before} -> {after}" for field, before, after in one.fields)
        both = (("gains", one.gains), ("loses", one.loses))
        models = "".join(f"; {word} {', '.join(names)}" for word, names in both if names)
        yield f"policy: {one.name} ({one.change}): {changed or 'means the same'}{models}"
    if told.policies:
        yield (
            f"whose requests these policies are for the log does not know; at most {told.concerned} decisions are for "
            "models that they open or close, and limits are not decided again"
        )


def _caveats(told: Report) -> Iterator[str]:
    found = told.found
    yield from (f"cannot be told: {why}: {count}" for why, count in sorted(found.unknown.items()))
    yield from (f"assumed: {why}: {count}" for why, count in sorted(found.assumed.items()))
    if found.turned_away:
        yield f"{found.turned_away} were turned away by their callers' policies then, and are not decided again"
    if told.lost:
        yield f"{told.lost} decisions were lost when the log was written"
    if found.disagreements:
        shown = ", ".join(found.disagreements[:5])
        yield f"{len(found.disagreements)} decisions of the old routes come out differently now: {shown}"
    if told.unreadable:
        yield f"{len(told.unreadable)} lines are none of a decision log: {', '.join(told.unreadable[:5])}"


def _moved(moved: int, decided: int) -> str:
    return f"{moved} of {decided} move ({_percent(moved, decided):g} %)"


def _percent(part: int, whole: int) -> float:
    return round(part * 100 / whole, 2) if whole else 0.0


def _span(buckets: list[int]) -> list[int] | None:
    return [min(buckets), max(buckets)] if buckets else None


def _buckets(buckets: list[int]) -> str:
    return f", buckets {min(buckets)} to {max(buckets)}" if buckets else ""
