"""`docs/reference/seed-map.md`: each planned file stands once, and leads to what there is."""

from __future__ import annotations

import re

import pytest

from ..support.repository import ROOT

PAGE = ROOT / "docs/reference/seed-map.md"
ROWS = [line.strip("|").split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip(" `").split("`")[0])
def test_a_planned_file_leads_to_what_there_is(row: list[str]) -> None:
    planned, now = row
    links = LINK.findall(now)
    assert links, planned
    for _, target in links:
        assert (PAGE.parent / target).resolve().is_relative_to(ROOT)
        assert (PAGE.parent / target).exists(), f"{planned}: {target} is not there"


def test_no_planned_file_stands_twice() -> None:
    planned = [name for row in ROWS for name in re.findall(r"`([^`]+)`", row[0])]
    assert len(planned) > 100
    assert sorted(planned) == sorted(set(planned))
