"""Each term of the English reference is explained in Korean too, and both say where it lives."""

from __future__ import annotations

import re
from pathlib import Path

from ..support.repository import ROOT

ENGLISH = ROOT / "docs/reference/terms.md"
KOREAN = ROOT / "docs/ko/glossary.md"
ROW = re.compile(r"^\| \*\*(?P<term>.+?)\*\* \| (?P<cells>.+) \|$", re.MULTILINE)
LINK = re.compile(r"\[(?P<name>[^\]]+)\]\((?P<target>[^)]+)\)$")
HANGUL = re.compile("[가-힣]")


def rows(page: Path) -> dict[str, list[str]]:
    """Term -> its cells. A Korean name stands in brackets behind the term."""
    found: dict[str, list[str]] = {}
    for row in ROW.finditer(page.read_text(encoding="utf-8")):
        term = row["term"].partition("(")[0] if page == KOREAN else row["term"]
        assert term not in found, f"{term} stands twice"
        found[term] = re.split(r"(?<!\\)\|", row["cells"])
    return found


def place(page: Path, cells: list[str]) -> Path:
    link = LINK.search(cells[-1].strip())
    assert link is not None, cells
    target = (page.parent / link["target"]).resolve()
    assert target == ROOT / link["name"], "what is shown is where it leads"
    return target


def test_every_english_term_is_explained_in_korean() -> None:
    english, korean = rows(ENGLISH), rows(KOREAN)
    assert len(english) > 150
    assert list(english) == list(korean)


def test_a_korean_entry_says_what_it_is_and_why_it_is_needed() -> None:
    for term, cells in rows(KOREAN).items():
        assert len(cells) == 3, term
        assert all(HANGUL.search(cell) for cell in cells[:2]), term


def test_both_say_the_same_place_and_it_is_there() -> None:
    korean = rows(KOREAN)
    for term, cells in rows(ENGLISH).items():
        assert place(ENGLISH, cells).exists(), term
        assert place(KOREAN, korean[term]) == place(ENGLISH, cells), term
