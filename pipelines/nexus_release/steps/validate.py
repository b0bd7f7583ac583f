"""Holds a dataset against its contract, and splits what is good into train and held-out rows."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import Field

from nexus_release.contract import NOT_NULL, Checked, check, contract_digest
from nexus_release.digests import Digest, canonical_json, digest_bytes
from nexus_release.frozen import Frozen
from nexus_release.journal import json_text
from nexus_release.names import ModelName
from nexus_release.wiring import Tools

Row = Mapping[str, Any]

_SHOWN = 100  # failures and duplicates that the report lists one by one


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


class ValidateIn(Frozen):
    model: ModelName
    dataset: str
    """URI of JSONL chat rows: a path, `file://`, `s3://`, `http(s)://`."""
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
    accepted: bool
    reason: str


def validate(given: ValidateIn, tools: Tools) -> ValidateOut:
    """Raises Missing or Unreachable for the dataset; a gate's no is `accepted=False`."""
    data = tools.datasets.read(given.dataset)
    checked = check(data, given.gate.max_characters)
    train, holdout = split(checked.rows, given.gate.holdout_share)
    accepted, reason = verdict(checked, len(train), len(holdout), given.gate)
    with tempfile.TemporaryDirectory(prefix="nexus-dataset-") as folder:
        _write(Path(folder), train, holdout, report(checked))
        kept = tools.store.put(Path(folder))
    return ValidateOut(
        source=digest_bytes(data),
        dataset=kept.digest,
        contract=contract_digest(given.gate.max_characters),
        rows=len(checked.rows),
        train_rows=len(train),
        holdout_rows=len(holdout),
        refused_rows=checked.refused_rows,
        accepted=accepted,
        reason=reason,
    )


def verdict(checked: Checked, train_rows: int, holdout_rows: int, gate: DataGate) -> tuple[bool, str]:
    share = checked.refused_rows / checked.total if checked.total else 1.0
    rows = f"{checked.refused_rows} of {checked.total} rows break the contract ({share:.1%})"
    if share > gate.max_refused_share:
        first = checked.failures[0] if checked.failures else None
        example = f"; first: row {first.row}, {first.column}: {first.rule}" if first else ""
        return False, f"{rows}, {gate.max_refused_share:.1%} are allowed{example}"
    if len(checked.rows) < gate.min_rows:
        return False, f"{len(checked.rows)} good rows remain, {gate.min_rows} are needed; {rows}"
    if not (train_rows and holdout_rows):
        return (
            False,
            f"{train_rows} rows to train and {holdout_rows} to evaluate on, by holdout_share {gate.holdout_share}",
        )
    return True, f"{rows}, {len(checked.duplicates)} say what an earlier one says and are dropped"


def split(rows: Sequence[Row], holdout_share: float) -> tuple[list[Row], list[Row]]:
    """(train, held out). A row's side follows from its own messages, so it never moves when others come or go."""
    sides: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        place = int.from_bytes(hashlib.sha256(canonical_json(row["messages"])).digest()[:8], "big") / 2**64
        sides[place < holdout_share].append(row)
    return sides


def report(checked: Checked) -> dict[str, Any]:
    """What a person reads: counts by rule, the first refused rows, nulls, duplicates, lengths."""
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
    }


def _counts(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _write(folder: Path, train: list[Row], holdout: list[Row], told: dict[str, Any]) -> None:
    for name, rows in (("train.jsonl", train), ("holdout.jsonl", holdout)):
        lines = (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
        (folder / name).write_text("".join(lines), encoding="utf-8")
    (folder / "report.json").write_text(json_text(told), encoding="utf-8")
