"""What every gate does alike: hold figures against bounds, say why not, and leave its evidence in the store."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from nexus_release.digests import Digest
from nexus_release.frozen import Frozen
from nexus_release.journal import json_text
from nexus_release.names import Line
from nexus_release.ports import Store
from nexus_release.record import Figure, GateName, GateResult, Verdict, decimal


@dataclass(frozen=True)
class Bounds:
    """What a gate asks of one figure."""

    least: float | None = None
    most: float | None = None


REPORT = "report.json"
_SHOWN = 3  # figures that a reason names; the others are in the evidence
_LONGEST = 1900  # characters of a reason, within what a line of the record holds


def held(
    name: str,
    value: float,
    *,
    low: float | None = None,
    high: float | None = None,
    least: float | None = None,
    most: float | None = None,
    **said: str,
) -> Figure:
    """A figure, and whether it is within its bounds. It is held as it is written down, so that whoever reads the
    record comes to the same answer; `said` are the figure's texts (`subject`, `base`, `candidate`)."""
    figure = Figure(
        name=name,
        value=_number(value),
        low=_number(value if low is None else low),
        high=_number(value if high is None else high),
        passed=False,
        **said,
    )
    return held_anew(figure, Bounds(least, most))


def held_anew(figure: Figure, bounds: Bounds) -> Figure:
    """What was measured, held against these bounds."""
    least, most = ("" if bound is None else _number(bound) for bound in (bounds.least, bounds.most))
    bounded = figure.model_copy(update={"least": least, "most": most})
    return bounded.model_copy(update={"passed": within(bounded)})


def _number(value: float) -> str:
    """A count as it is, a measurement by its 4 digits."""
    return str(value) if isinstance(value, int) else decimal(value)


def within(figure: Figure) -> bool:
    """Raises decimal.InvalidOperation where a text is no number."""
    low, high = Decimal(figure.low), Decimal(figure.high)
    not_below = not figure.least or low >= Decimal(figure.least)
    return not_below and (not figure.most or high <= Decimal(figure.most))


def told(figure: Figure) -> str:
    """One figure for people, with its bounds."""
    of = f" of {figure.subject}" if figure.subject else ""
    sides = f" {figure.candidate}, base {figure.base}:" if figure.base else ""
    interval = "" if figure.low == figure.high else f" ({figure.low} to {figure.high})"
    bounds = [f"at least {figure.least}"] if figure.least else []
    bounds += [f"at most {figure.most}"] if figure.most else []
    return f"{figure.name}{of}{sides} {figure.value}{interval}, {' and '.join(bounds) or 'no bound'}"


def objection(figures: Sequence[Figure]) -> str:
    """What is out of bounds; empty where nothing is."""
    failed = [told(figure) for figure in figures if not figure.passed]
    more = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
    return "; ".join(failed[:_SHOWN]) + more


def line(text: str) -> Line:
    """A reason as the record keeps it: one line of printable characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:_LONGEST]


def keep_evidence(store: Store, figures: Sequence[Figure], report: Mapping[str, Any], **files: Any) -> Digest:
    """A folder in the store: `report.json` with the figures and `report`, and each of `files` as JSON beside it."""
    shown = {"figures": [figure.model_dump() for figure in figures], **report}
    with tempfile.TemporaryDirectory(prefix="nexus-evidence-") as folder:
        for name, document in {REPORT.removesuffix(".json"): shown, **files}.items():
            Path(folder, f"{name}.json").write_text(json_text(document), encoding="utf-8")
        return store.put(Path(folder)).digest


def result(gate: GateName, verdict: Verdict, settings: Frozen, *, without: Collection[str] = ()) -> GateResult:
    """The part of a step's output that is the gate's, with its settings but for those named `without`."""
    return GateResult(
        gate=gate,
        accepted=verdict.accepted,
        reason=verdict.reason,
        figures=verdict.figures,
        evidence=verdict.evidence,
        settings=texts("", settings.model_dump(exclude={*without})),
    )


def texts(prefix: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Each value by its path, `prefix` and names joined by dots."""
    found: dict[str, str] = {}
    for name, value in values.items():
        nested = isinstance(value, dict)
        found |= texts(f"{prefix}{name}.", value) if nested else {f"{prefix}{name}": _text(value)}
    return found


def _text(value: object) -> str:
    """One text for one value: `repr` of a float is the shortest text that reads back as the same float."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
