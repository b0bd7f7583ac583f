"""Holds a dataset against its contract, and splits what is good into train and held-out rows."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from nexus_release.contract import Checked, Pii, check, contract_digest
from nexus_release.data_declaration import Declaration, Demand, expired, objection, objection_to_rows, today
from nexus_release.digests import Digest, canonical_json, digest_bytes
from nexus_release.drift import Data, FeatureDrift, measure
from nexus_release.errors import BadInput, Missing
from nexus_release.frozen import Frozen
from nexus_release.gates import Bounds
from nexus_release.journal import json_text
from nexus_release.kubernetes_values import Label
from nexus_release.lines import NOT_NULL, Row, read_lines
from nexus_release.names import EnvironmentName, Line, ModelName
from nexus_release.wiring import Tools

_SHOWN = 100  # failures and duplicates that the report lists one by one
_SIDES = ("train.jsonl", "holdout.jsonl")
_REPORT = "report.json"


class DataGate(Frozen):
    """When a dataset is good enough to go on with."""

    max_refused_share: float = Field(default=0.2, ge=0, le=1)
    """Share of rows, 0 to 1, that may break the contract before the release stops."""
    min_rows: int = Field(default=1000, ge=1)
    """Rows that must remain."""
    max_characters: int = Field(default=4000, ge=1)
    """Length of one message above which a row is over-long."""
    holdout_share: float = Field(default=0.05, gt=0, lt=1)
    """Share of the good rows kept for evaluation, chosen by each row's own hash."""
    max_same_answer_share: float = Field(default=0.5, gt=0, le=1)
    """Share of all answers, 0 to 1, that may be one and the same; above it a model would learn that answer alone."""
    pii: Pii = "refuse"
    """What becomes of rows that hold personal data or secrets (personal_data.py)."""
    declaration: Demand = "optional"
    """Whether data is refused of which the release's file declares nothing (data_declaration.py). Held again whenever
    the environment is rendered, with the access and the purpose that are declared."""
    purpose: Label | None = None
    """What models are used for here; the data must be declared for it. null asks for nothing."""
    reference: Digest | Literal["stable"] | None = None
    """What this dataset is held against: `stable`, the dataset of the release that is stable in the environment when
    the release is asked for; or a dataset's folder in the store; null measures no drift."""
    on_drift: Literal["refuse", "report"] = "refuse"
    """What becomes of a dataset that has drifted. A release that a drift report asks for is `report`."""
    max_drift: float = Field(default=0.2, gt=0, allow_inf_nan=False)
    """Population stability index above which a feature of categories has drifted (distributions.py)."""
    max_gap: float = Field(default=0.2, gt=0, le=1)
    """Kolmogorov-Smirnov statistic, 0 to 1, above which a feature of numbers has drifted: so great a share of the rows
    lies elsewhere."""
    significance: float = Field(default=0.001, gt=0, lt=1)
    """Probability that small samples of the same data count as drifted in any feature."""


class ValidateIn(Frozen):
    model: ModelName
    environment: EnvironmentName
    """Where it is to be released; the declaration says whether the data may be used there."""
    dataset: Line
    """URI of JSONL chat rows: a path, `file://`, `s3://`, `http(s)://`."""
    declaration: Declaration | None
    gate: DataGate


class ValidateOut(Frozen):
    source: Digest
    """Digest of the bytes as they were read."""
    dataset: Digest
    """Folder in the store: `train.jsonl`, `holdout.jsonl`, `report.json`."""
    contract: Digest
    rows: int
    """Rows kept, train and held-out together."""
    train_rows: int
    holdout_rows: int
    refused_rows: int
    reference: Digest | None
    """The dataset that this one was held against."""
    drift: tuple[FeatureDrift, ...]
    """By feature; empty without a reference. It is not in the dataset's folder, for what a dataset is does not depend
    on what it is compared with: neither does its digest, nor the release's id."""
    accepted: bool
    reason: str


def bounds(gate: DataGate) -> Mapping[str, Bounds]:
    """By the name of the figure that a record has of a dataset."""
    return {"refused share": Bounds(most=gate.max_refused_share), "rows": Bounds(least=gate.min_rows)}


def validate(given: ValidateIn, tools: Tools) -> ValidateOut:
    """Raises Missing or Unreachable for the dataset, Missing or BadInput for the reference; a gate's no is
    `accepted=False`."""
    gate = given.gate
    if gate.reference == "stable":
        raise BadInput("gate.reference", gate.reference, "give a digest or null; `nexus params` says which is stable")
    earlier = _reference(gate.reference, tools) if gate.reference else None
    data = tools.datasets.read(given.dataset)
    checked = check(data, gate.max_characters, gate.pii)
    train, holdout = split(checked.rows, gate.holdout_share)
    drift = _drift(checked, earlier, gate) if earlier else ()
    accepted, reason = verdict(checked, len(train), len(holdout), gate, drift)
    if refusal := _refusal(given, checked):
        accepted, reason = False, refusal
    with tempfile.TemporaryDirectory(prefix="nexus-dataset-") as folder:
        _write(Path(folder), train, holdout, report(checked, gate))
        kept = tools.store.put(Path(folder))
    return ValidateOut(
        source=digest_bytes(data),
        dataset=kept.digest,
        contract=contract_digest(gate.max_characters, gate.pii),
        rows=len(checked.rows),
        train_rows=len(train),
        holdout_rows=len(holdout),
        refused_rows=checked.refused_rows,
        reference=gate.reference,
        drift=drift,
        accepted=accepted,
        reason=reason,
    )


def _refusal(given: ValidateIn, checked: Checked) -> str:
    """Why data that is good enough may still not be used; empty where it may. A result that is taken up again on a
    later day is not judged anew here: who lands the proposal does that (manifests/changes.py)."""
    declared, gate = given.declaration, given.gate
    if declared and expired(declared, on=today()):
        return f"the data had to be deleted after {declared.delete_after}; take newer data"
    return objection(declared, gate.declaration, gate.purpose, given.environment) or objection_to_rows(
        declared, checked.personal if gate.pii == "allow" else {}
    )


def verdict(
    checked: Checked, train_rows: int, holdout_rows: int, gate: DataGate, drift: Sequence[FeatureDrift] = ()
) -> tuple[bool, str]:
    """(accepted, why): the first objection, or the figures of what is accepted."""
    objections = [
        *_about_rows(checked, gate),
        *_about_sides(train_rows, holdout_rows, gate),
        *_about_answers(checked, gate),
    ]
    drifted = [*_about_drift(drift, gate)]
    if gate.on_drift == "refuse":
        objections += drifted
    if objections:
        return False, objections[0]
    return True, "; ".join([f"{_refused(checked)}, {_dropped(checked)}", *drifted])


def _refused(checked: Checked) -> str:
    share = checked.refused_rows / checked.total
    return f"{checked.refused_rows} of {checked.total} rows break the contract ({share:.1%})"


def _dropped(checked: Checked) -> str:
    return f"{len(checked.duplicates)} say what an earlier one says and are dropped"


def _about_rows(checked: Checked, gate: DataGate) -> Iterator[str]:
    if not checked.total:
        yield "the file is empty: it has no row"
        return
    if checked.refused_rows / checked.total > gate.max_refused_share:
        first = checked.failures[0]
        example = f"row {first.row}, {first.column}: {first.rule}"
        yield f"{_refused(checked)}, {gate.max_refused_share:.1%} are allowed; first: {example}"
    if len(checked.rows) < gate.min_rows:
        remain = f"{len(checked.rows)} good rows remain, {gate.min_rows} are needed"
        yield f"{remain}; {_refused(checked)}, {_dropped(checked)}"


def _about_sides(train_rows: int, holdout_rows: int, gate: DataGate) -> Iterator[str]:
    if not (train_rows and holdout_rows):
        yield f"{train_rows} rows to train and {holdout_rows} to evaluate on, by holdout_share {gate.holdout_share}"


def _about_answers(checked: Checked, gate: DataGate) -> Iterator[str]:
    same = checked.same_answer
    if same.share > gate.max_same_answer_share:
        yield (
            f"messages: {same.times} of {same.of} answers are the same ({same.share:.1%}), that of row {same.row}; "
            f"{gate.max_same_answer_share:.1%} are allowed"
        )


def _about_drift(drift: Sequence[FeatureDrift], gate: DataGate) -> Iterator[str]:
    for one in drift:
        if one.drifted:
            figure = f"{one.measure} {one.value}, {one.bound} is allowed and {one.chance} may be chance"
            yield f"{one.feature}: drifted from {gate.reference}: {figure}"


def _drift(checked: Checked, earlier: Data, gate: DataGate) -> tuple[FeatureDrift, ...]:
    fates = _fates(len(checked.rows), len(checked.duplicates), checked.refused_rows)
    return measure(Data(checked.rows, fates), earlier, {"psi": gate.max_drift, "ks": gate.max_gap}, gate.significance)


def _reference(digest: Digest, tools: Tools) -> Data:
    try:
        folder = tools.store.get(digest)
        sides = [read_lines((folder / name).read_bytes()) for name in _SIDES]
        told = json.loads((folder / _REPORT).read_bytes())
    except Missing:
        mend = "share the work folder that made it, name another, or set gates.data.reference to null"
        raise Missing(f"gate.reference: {digest} is not in the store; {mend}") from None
    except FileNotFoundError:
        raise BadInput("gate.reference", digest, "it is no dataset; give what an earlier `validate` left") from None
    if any(side.failures for side in sides):
        raise BadInput("gate.reference", digest, "its rows are no chats; give what an earlier `validate` left")
    rows = [row for side in sides for row in side.rows.values()]
    return Data(rows, _fates(len(rows), told["duplicates"]["rows"], told["refused"]))


def _fates(kept: int, repeated: int, refused: int) -> dict[str, int]:
    return {"kept": kept, "repeated": repeated, "refused": refused}


def split(rows: Sequence[Row], holdout_share: float) -> tuple[list[Row], list[Row]]:
    """(train, held out). A row's side follows from its own messages, so it never moves when others come or go."""
    sides: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        place = int.from_bytes(hashlib.sha256(canonical_json(row["messages"])).digest()[:8], "big") / 2**64
        sides[place < holdout_share].append(row)
    return sides


def report(checked: Checked, gate: DataGate) -> dict[str, Any]:
    """What a person reads: counts by rule, the first refused rows, nulls, duplicates, lengths, personal data by its
    kind, the most frequent answer."""
    lengths = sorted(checked.lengths)
    return {
        "rows": checked.total,
        "good": len(checked.rows),
        "refused": checked.refused_rows,
        "by_rule": _counts(f"{failure.column}: {failure.rule}" for failure in checked.failures),
        "nulls": _counts(failure.column for failure in checked.failures if failure.rule == NOT_NULL),
        "failures": [asdict(failure) for failure in checked.failures[:_SHOWN]],
        "duplicates": {"rows": len(checked.duplicates), "first": list(checked.duplicates[:_SHOWN])},
        "characters": {f"p{p}": lengths[(len(lengths) - 1) * p // 100] for p in (0, 50, 95, 100)} if lengths else {},
        "personal_data": {"policy": gate.pii, "rows": dict(sorted(checked.personal.items()))},
        "same_answer": {**asdict(checked.same_answer), "share": round(checked.same_answer.share, 4)},
    }


def _counts(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _write(folder: Path, train: list[Row], holdout: list[Row], told: dict[str, Any]) -> None:
    for name, rows in zip(_SIDES, (train, holdout), strict=True):
        lines = (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
        (folder / name).write_text("".join(lines), encoding="utf-8")
    (folder / _REPORT).write_text(json_text(told), encoding="utf-8")
