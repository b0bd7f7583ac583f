"""A page as Markdown, as GitHub and the engines' UIs have it. Nothing that a page says can become markup."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nexus_release.evidence.figures import bounds_of, interval_of, name_of
from nexus_release.evidence.page import (
    Bars,
    Block,
    Changes,
    Facts,
    Figures,
    Heading,
    Page,
    Said,
    Table,
    Text,
)
from nexus_release.terminal import plain, plain_line

LONGEST_DIFF = 400
"""Lines of a diff that are shown; a pull request and a browser have the whole."""


def markdown_text(page: Page) -> str:
    parts = [f"## {_escaped(page.title)}", *("\n".join(_lines(block)) for block in page.blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def shortened(diff: str) -> tuple[str, int]:
    """(the first lines, how many more there are)."""
    lines = diff.splitlines()
    return "\n".join(lines[:LONGEST_DIFF]), max(0, len(lines) - LONGEST_DIFF)


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Heading(text):
            yield f"### {_escaped(text)}"
        case Said(good, word, reason):
            yield f"**{'✅' if good else '❌'} {_escaped(word)}**{': ' if reason else ''}{_escaped(reason)}"
        case Text(text):
            yield from (f"{_escaped(line)}  " for line in text.splitlines())
        case Facts(rows):
            yield from _table(("", ""), rows) if rows else ()
        case Table(head, rows):
            yield from _table(head, rows)
        case Bars(bars):
            yield from _table(("", ""), tuple((bar.name, bar.said) for bar in bars))
        case Figures(figures, caption):
            rows = tuple(
                (name_of(one), interval_of(one), bounds_of(one), "✅" if one.passed else "❌") for one in figures
            )
            yield from _table(("", "measured", "bound", ""), rows)
            if caption:
                yield f"\n{_escaped(caption)}"
        case Changes(diff):
            yield from _fenced(*shortened(diff))


def _table(head: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> Iterator[str]:
    yield f"| {' | '.join(_escaped(cell) for cell in head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(_escaped(cell) for cell in row)} |"


def _fenced(diff: str, more: int) -> Iterator[str]:
    """The fence is longer than any in the text, so that no line of it ends the block."""
    longest = max((len(run) for run in re.findall("`+", diff)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}diff"
    yield plain(diff).replace("\r", "")
    yield fence
    if more:
        yield f"\nand {more:,} more lines"


def _escaped(text: str) -> str:
    """On one line. Every sign that Markdown may read is written so that it does not, and `@` calls nobody."""
    harmless = re.sub(r"([\\`*_{}\[\]#|~!])", r"\\\1", plain_line(text.replace("\n", " ")))
    return harmless.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
