"""What the store holds of a release: the artifact, its base, the dataset, and the evidence of each gate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from nexus_release.capacity.planner import place
from nexus_release.capacity.target import FitGate, Target
from nexus_release.code import steps_digest
from nexus_release.digests import digest_json
from nexus_release.errors import DigestMismatch, Missing
from nexus_release.gates import REPORT
from nexus_release.ports import Store
from nexus_release.proof.finding import Finding, holds, lies, unproved
from nexus_release.record import Content, GateResult
from nexus_release.steps.evaluate import choose
from nexus_release.steps.quantize import QuantizeRecipe
from nexus_release.steps.train import read_rows
from nexus_release.suite import HELD_OUT, SUITE, document, held_out_task


def stored(content: Content, store: Store) -> Iterator[Finding]:
    """Hashes every byte anew. What the store does not have is unproved: another machine made it."""
    for link, digest in (
        ("artifact", content.artifact.digest),
        ("base", content.base),
        ("bill", content.bill_of_materials),
    ):
        yield _entry(link, digest, store)[1]
    dataset, finding = _entry("dataset", content.dataset.digest, store)
    yield finding
    if dataset is not None:
        yield from _rows(content, dataset)
    for result in content.gates:
        if result.evidence != content.dataset.digest:  # of which every byte has been hashed above
            yield from _evidence(content, result, store)
    if dataset is not None:
        yield _suite(content, dataset, store)


def _entry(link: str, digest: str, store: Store) -> tuple[Path | None, Finding]:
    try:
        return store.get(digest), holds(link, digest, "every byte hashed")
    except Missing:
        return None, unproved(link, digest, "this store does not hold it")
    except DigestMismatch as error:
        return None, lies(link, digest, str(error))


def _rows(content: Content, dataset: Path) -> Iterator[Finding]:
    try:
        rows = len(read_rows(dataset / "train.jsonl")) + len(read_rows(dataset / "holdout.jsonl"))
    except (OSError, ValueError) as error:  # a record may name any entry
        yield lies("dataset", content.dataset.digest, f"its rows cannot be read as ours: {type(error).__name__}")
        return
    if rows != content.dataset.rows:
        yield lies("dataset", content.dataset.digest, f"it has {rows} rows, the record says {content.dataset.rows}")


def _evidence(content: Content, result: GateResult, store: Store) -> Iterator[Finding]:
    folder, finding = _entry("evidence", result.evidence, store)
    if folder is None:
        yield finding
        return
    yield _reported(result, folder) or finding
    if result.gate == "fit":
        yield _planned(content, result, folder)


def _reported(result: GateResult, evidence: Path) -> Finding | None:
    """None where its report has the figures that the record has."""
    try:
        report = json.loads((evidence / REPORT).read_bytes())
        same = report["figures"] == [figure.model_dump() for figure in result.figures]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return lies("evidence", result.evidence, f"its {REPORT} cannot be read as ours: {type(error).__name__}")
    return None if same else lies("evidence", result.evidence, f"its {REPORT} has other figures than the record")


def _planned(content: Content, result: GateResult, evidence: Path) -> Finding:
    """The placement follows from the record's shape and settings, and from the machines that the evidence names."""
    shape = digest_json(content.shape.model_dump())
    if content.code.steps != steps_digest():
        return unproved("fit", shape, "other code planned it")
    try:
        report = json.loads((evidence / REPORT).read_bytes())
        target, gate = Target.model_validate(report["target"]), FitGate.model_validate(result.settings)
        placement = place(content.shape, QuantizeRecipe(scheme=report["scheme"]).scheme, target, gate)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return lies("fit", shape, f"its evidence cannot be read as ours: {type(error).__name__}")
    if report["scheme"] != content.recipe.get("quantize.scheme"):
        return lies("fit", shape, f"it was planned for {report['scheme']}")
    if report.get("placement") != asdict(placement) or result.accepted == bool(placement.refusal):
        return lies("fit", shape, "planned anew it is placed otherwise")
    return holds("fit", shape, "planned anew")


def _suite(content: Content, dataset: Path, store: Store) -> Finding:
    """The suite is the one that the evidence shows, and its rows are those that the gate would choose."""
    suite, quality = content.evaluation.suite, content.gate("quality")
    if content.code.steps != steps_digest():
        return unproved("suite", suite, "other code chose its rows")
    try:
        asked = json.loads((store.get(quality.evidence) / SUITE).read_bytes())
        rows = choose(read_rows(dataset / "holdout.jsonl"), int(quality.settings["max_rows"]))
        named = [digest_json(row) for row in rows]
        held_out = [document(item) for item in held_out_task(rows, int(quality.settings["max_questions"]))]
        true = named == asked["rows"] and (
            asked["questions"] == held_out or all(one["task"] != HELD_OUT for one in asked["questions"])
        )
    except (Missing, DigestMismatch):
        return unproved("suite", suite, "its evidence is not here whole")
    except (OSError, ValueError, KeyError, TypeError) as error:
        return lies("suite", suite, f"it cannot be read as ours: {type(error).__name__}")
    if (found := digest_json(asked)) != suite:
        return lies("suite", suite, f"its evidence gives {found}")
    if not true:
        return lies("suite", suite, "its rows or questions are not those that the held-out rows give")
    return holds("suite", suite, "chosen anew from the held-out rows")
