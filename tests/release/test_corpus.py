"""The demo's data: real, repeatable, and different in its second edition."""

from __future__ import annotations

import json
from pathlib import Path

from nexus_release.config import load_settings
from nexus_release.contract import check
from nexus_release.demo.corpus import build
from nexus_release.steps.validate import split, verdict

from ..support.repository import ROOT


def test_both_editions_pass_the_local_gate_with_rows_that_real_data_has(tmp_path: Path) -> None:
    gate = load_settings(ROOT, "local").gates.data
    texts = []
    for edition in (1, 2):
        path = tmp_path / f"{edition}.jsonl"
        summary = build(path, edition)
        checked = check(path.read_bytes(), gate.max_characters)
        texts.append({json.dumps(row["messages"]) for row in checked.rows})
        rules = {failure.rule for failure in checked.failures}
        assert summary.rows == checked.total > 3000
        accepted, reason = verdict(checked, *map(len, split(checked.rows, gate.holdout_share)), gate)
        assert accepted, reason
        assert {"no message is empty", f"at most {gate.max_characters} characters"} <= rules
        assert checked.duplicates
    assert texts[0] < texts[1]


def test_the_same_python_gives_the_same_bytes(tmp_path: Path) -> None:
    build(tmp_path / "a", 1)
    build(tmp_path / "b", 1)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
