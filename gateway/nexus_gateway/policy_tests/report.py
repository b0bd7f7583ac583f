"""What policy tests have found: for people, programs and pull requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nexus_gateway.markup import plain
from nexus_gateway.policy_tests.holding import Held


@dataclass(frozen=True)
class Bite:
    """What came of the mutants."""

    found: int = 0
    """Mutants that some test does not let pass."""
    survivors: tuple[str, ...] = ()
    """Those that every test lets pass, and that nobody has declared equivalent."""
    equivalent: tuple[tuple[str, str], ...] = ()
    """(mutant, why no test has to find it)."""
    stale: tuple[str, ...] = ()
    """Declared equivalent, though there is no such mutant or a test finds it."""


@dataclass(frozen=True)
class Report:
    revision: str
    held: Sequence[Held]
    rules: int
    unseen: tuple[str, ...]
    """Rules that no test has looked at."""
    coverage: float
    """Percent of the rules."""
    least: float = 0.0
    """Percent that is asked for."""
    bite: Bite | None = None
    """None where no mutants were made."""
    faults: Sequence[Held] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "faults", [one for one in self.held if one.fault])

    @property
    def sound(self) -> bool:
        bites = self.bite is None or not (self.bite.survivors or self.bite.stale)
        return not self.faults and self.coverage >= self.least and bites

    def document(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "sound": self.sound,
            "revision": self.revision,
            "assertions": [asdict(one) for one in self.held],
            "coverage": {"percent": round(self.coverage, 1), "rules": self.rules, "unseen": list(self.unseen)},
        }
        if self.bite is not None:
            told["mutants"] = asdict(self.bite) | {"equivalent": dict(self.bite.equivalent)}
        return told


def lines(report: Report) -> Iterator[str]:
    for one in report.held:
        if one.fault or one.vacuous:
            yield f"{'FAILED' if one.fault else 'vacuous'}  {one.test}: {one.assertion}: {one.fault or one.vacuous}"
    good = len(report.held) - len(report.faults)
    yield f"{good} of {len(report.held)} assertions hold at revision {report.revision[:12]}"
    seen = report.rules - len(report.unseen)
    yield f"{seen} of {report.rules} rules were looked at: {report.coverage:.0f} %{_asked(report)}"
    yield from (f"  not      {name}" for name in report.unseen)
    if report.bite is not None:
        yield from _bite_lines(report.bite)


def markdown(report: Report) -> Iterator[str]:
    """For a pull request."""
    good, bite = len(report.held) - len(report.faults), report.bite
    yield f"### Policy tests: {'all hold' if report.sound else '**not sound**'}"
    yield ""
    yield "| | |"
    yield "| --- | --- |"
    yield f"| assertions | {good} of {len(report.held)} hold |"
    yield f"| rules looked at | {report.rules - len(report.unseen)} of {report.rules} ({report.coverage:.0f} %) |"
    if bite is not None:
        total = bite.found + len(bite.survivors) + len(bite.equivalent)
        yield f"| broken rules found | {bite.found} of {total}, {len(bite.equivalent)} declared equivalent |"
    for title, items in _sections(report):
        if items:
            yield ""
            yield f"**{title}**"
            yield ""
            yield from (f"- {plain(item)}" for item in items)


def _sections(report: Report) -> Iterator[tuple[str, list[str]]]:
    yield "Do not hold", [f"{one.test}: {one.assertion}: {one.fault}" for one in report.faults]
    yield (
        "Hold, and could not have failed",
        [f"{one.test}: {one.assertion}: {one.vacuous}" for one in report.held if one.vacuous],
    )
    yield "Rules that no test has looked at", list(report.unseen)
    if report.bite is not None:
        yield "Broken rules that no test has found", list(report.bite.survivors)
        yield "Declared equivalent, and are not", list(report.bite.stale)
        yield "Declared equivalent", [f"{name}: {because}" for name, because in report.bite.equivalent]


def _bite_lines(bite: Bite) -> Iterator[str]:
    total = bite.found + len(bite.survivors) + len(bite.equivalent)
    yield f"{bite.found} of {total} broken rules were found, {len(bite.equivalent)} are declared equivalent"
    yield from (f"  SURVIVED {name}" for name in bite.survivors)
    yield from (f"  STALE    {name}: declared equivalent, and is none or was found" for name in bite.stale)
    yield from (f"  same     {name}: {because}" for name, because in bite.equivalent)


def _asked(report: Report) -> str:
    return f", and {report.least:g} % are asked for" if report.coverage < report.least else ""
