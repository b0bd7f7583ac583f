"""The fenced blocks of the documents, each with where it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .repository import ROOT, tracked_files

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
_NOT_RUN = re.compile("not run|실행하지 않", re.IGNORECASE)


@dataclass(frozen=True)
class Block:
    page: str
    """Path from the repository's root."""
    line: int
    language: str
    """Empty for what a page shows as printed, or draws."""
    text: str
    announced: str
    """The last line before it that says something."""

    @cached_property
    def first(self) -> str:
        """By which it is named in a list: line numbers move."""
        return next(line for line in self.text.splitlines() if line.strip()).strip()

    @property
    def left_out(self) -> bool:
        """The page says that it is not run."""
        return bool(_NOT_RUN.search(self.announced))

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    text, name = page.read_text(encoding="utf-8"), str(page.relative_to(ROOT))
    return [_block(name, text, found) for found in _FENCE.finditer(text)]


def _block(page: str, text: str, found: re.Match[str]) -> Block:
    before = text[: found.start()]
    said = [line for line in before.splitlines() if line.strip()]
    body = re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
    return Block(page, before.count("\n") + 1, found["language"], body, said[-1] if said else "")


PAGES = [
    path
    for path in tracked_files()
    if path.suffix == ".md" and not path.is_relative_to(ROOT / "tests") and "```" in path.read_text(encoding="utf-8")
]
"""All that have blocks. What tests compare pull requests' texts with is no page."""
BLOCKS = [block for page in PAGES for block in blocks_of(page)]
