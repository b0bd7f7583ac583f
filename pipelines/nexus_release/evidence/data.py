"""The page of `validate`: what is in the dataset, what is wrong with it, and whether it is good enough."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from nexus_release.data_declaration import told
from nexus_release.evidence.page import Bar, Bars, Block, Facts, Heading, Page, Said, Table
from nexus_release.steps.validate import ValidateIn, ValidateOut

_SHOWN = 5  # rows of each rule; the report in the store has more
_LENGTHS = {"p0": "the shortest", "p50": "the median", "p95": "19 of 20 at most", "p100": "the longest"}


def data_page(given: ValidateIn, out: ValidateOut, report: Mapping[str, Any]) -> Page:
    """`report` is the dataset folder's `report.json`."""
    return Page(
        title=f"Data of {given.model}",
        blocks=(
            Said(out.accepted, "accepted" if out.accepted else "refused", out.reason),
            *_rows(out),
            *_faults(report),
            *_shape(report),
            *_drift(out),
            Heading("What is declared of it"),
            Facts(told(given.declaration)),
            Heading("Where it is"),
            Facts((("read from", given.dataset), ("its bytes", out.source), ("clean rows", out.dataset))),
        ),
        amounts={
            "rows": float(out.rows),
            "rows.train": float(out.train_rows),
            "rows.holdout": float(out.holdout_rows),
            "rows.refused": float(out.refused_rows),
            "rows.duplicates": float(report["duplicates"]["rows"]),
        },
    )


def _rows(out: ValidateOut) -> tuple[Block, ...]:
    counts = {"to train on": out.train_rows, "held out": out.holdout_rows, "refused": out.refused_rows}
    return Heading("Rows"), Bars(tuple(Bar(name, float(count), f"{count:,}") for name, count in counts.items()))


def _faults(report: Mapping[str, Any]) -> tuple[Block, ...]:
    first: dict[str, list[str]] = defaultdict(list)
    for one in report["failures"]:
        first[f"{one['column']}: {one['rule']}"].append(str(one["row"]))
    rules = sorted(report["by_rule"].items(), key=lambda rule: (-rule[1], rule[0]))
    rows = tuple((rule, f"{count:,}", ", ".join(first[rule][:_SHOWN])) for rule, count in rules)
    return (Heading("Rules that rows break"), Table(("rule", "rows", "the first"), rows)) if rows else ()


def _shape(report: Mapping[str, Any]) -> tuple[Block, ...]:
    same, personal, lengths = report["same_answer"], report["personal_data"], report["characters"]
    facts = [("say what an earlier row says", f"{report['duplicates']['rows']:,} rows, dropped")]
    facts += [(f"{said}, in characters", f"{lengths[part]:,}") for part, said in _LENGTHS.items() if part in lengths]
    facts.append(("the most frequent answer", f"{same['times']:,} of {same['of']:,} ({same['share']:.1%})"))
    facts.append(("what becomes of personal data", personal["policy"]))
    facts += [(f"hold personal data: {kind}", f"{count:,} rows") for kind, count in personal["rows"].items()]
    return Heading("What they are like"), Facts(tuple(facts))


def _drift(out: ValidateOut) -> tuple[Block, ...]:
    if out.reference is None:
        return ()
    rows = tuple(
        (one.feature, f"{one.measure} {one.value}", one.bound, one.chance, "yes" if one.drifted else "no")
        for one in out.drift
    )
    return (
        Heading("Drift"),
        Facts((("from the dataset", out.reference),)),
        Table(("feature", "moved by", "allowed", "by chance alone", "drifted"), rows),
    )
