"""Says what the demo does: to the terminal as it happens, and to a Markdown file for later."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nexus_release.journal import write_whole

_WIDTH = 120  # characters


class Narrator:
    """One act after another. The Markdown is written at the end of each act, so that an interrupted demo keeps it."""

    def __init__(self, path: Path, console: Console | None = None) -> None:
        self._path = path
        self._console = console or _console()
        self._lines: list[str] = ["# The demo, as it ran", ""]
        self._act = 0

    @contextmanager
    def act(self, title: str) -> Iterator[None]:
        self._act += 1
        started = time.monotonic()
        self._console.print(f"\n[bold cyan]{self._act}. {escape(title)}[/]")
        self._lines += [f"## {self._act}. {title}", ""]
        yield
        self.say(f"({time.monotonic() - started:.1f} s)")
        self._lines.append("")
        write_whole(self._path, "\n".join(self._lines))

    def say(self, text: str) -> None:
        self._console.print(f"   {escape(text)}")
        self._lines.append(f"- {text}")

    def block(self, lines: Sequence[str]) -> None:
        """Lines that are shown as they are."""
        for line in lines:
            self._console.print(f"     {escape(line)}", style="dim", soft_wrap=True)
        self._lines += ["", "```", *lines, "```", ""]

    def end(self, lines: Sequence[str]) -> None:
        self._console.print(f"\n[bold green]Done.[/] The story is in {escape(str(self._path))}.")
        for line in lines:
            self._console.print(f"   {escape(line)}")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        shown = Table(*head, box=None, padding=(0, 2, 0, 3), header_style="dim")
        for row in rows:
            shown.add_row(*(escape(cell) for cell in row))
        self._console.print(shown)
        self._lines += ["", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
        self._lines += [f"| {' | '.join(row)} |" for row in rows]
        self._lines.append("")

    @contextmanager
    def quote(self) -> Iterator[_Quote]:
        """A text that arrives piece by piece."""
        quote = _Quote(self._console)
        yield quote
        self._console.print()
        self._lines += ["", *(f"> {line}" for line in quote.text.splitlines()), ""]


def _console() -> Console:
    """As wide as the terminal; where there is none, wide enough for the tables."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_WIDTH)


class _Quote:
    def __init__(self, console: Console) -> None:
        self._console = console
        self.text = ""

    def __call__(self, piece: str) -> None:
        if not self.text:
            self._console.print("   ", end="")
        self.text += piece
        self._console.print(escape(piece.replace("\n", "\n   ")), end="", style="italic", soft_wrap=True)
