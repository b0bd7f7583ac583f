"""The page of `validate`: what is in the dataset, what is wrong with it, and whether it is good enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_release.evidence.page import Bar, Bars, Block, Facts, Heading, Page, Said, Table
from nexus_release.steps.validate import ValidateIn, ValidateOut

_SHOWN = 20  # failures one by one; the report in the store has more


def data_page(given: ValidateIn, out: ValidateOut, report: Mapping[str, Any]) -> Page:
    """`report` is the dataset folder's `report.json`."""
    return Page(
        title=f"Data of {given.model}",
        blocks=(
            Said(out.accepted, "accepted" if out.accepted else "refused", out.reason),
            *_rows(out),
            *_faults(report),
            *_shape(report),
            *_drift(report),
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
    if not report["by_rule"]:
        return ()
    rules = sorted(report["by_rule"].items(), key=lambda rule: (-rule[1], rule[0]))
    first = [(str(one["row"]), str(one["column"]), str(one["rule"])) for one in report["failures"][:_SHOWN]]
    return (
        Heading("Rules that rows break"),
        Table(("rule", "rows"), tuple((rule, f"{count:,}") for rule, count in rules)),
        Heading(f"The first {len(first)}"),
        Table(("row", "column", "rule"), tuple(first)),
    )


def _shape(report: Mapping[str, Any]) -> tuple[Block, ...]:
    same, personal = report["same_answer"], report["personal_data"]
    facts = [("rows that say what an earlier one says", f"{report['duplicates']['rows']:,}, dropped")]
    facts += [(f"characters of a message, {name}", f"{count:,}") for name, count in report["characters"].items()]
    facts.append(("the most frequent answer", f"{same['times']:,} of {same['of']:,} ({same['share']:.1%})"))
    facts += [(f"rows with {kind}", f"{count:,}") for kind, count in personal["rows"].items()]
    facts.append(("rows with personal data", f"policy: {personal['policy']}"))
    return Heading("What they are like"), Facts(tuple(facts))


def _drift(report: Mapping[str, Any]) -> tuple[Block, ...]:
    if not (drift := report["drift"]):
        return ()
    rows = tuple(
        (column, f"{index}", "yes" if index > drift["bound"] else "no") for column, index in drift["index"].items()
    )
    return (
        Heading("Drift"),
        Facts((("against", drift["reference"]), ("population stability index allowed", str(drift["bound"])))),
        Table(("column", "index", "drifted"), rows),
    )
