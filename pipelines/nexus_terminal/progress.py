"""What a person sees of long work, and is asked before a change. Whoever reads a file or a pipe sees none of it."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

import click

_EVERY_SECONDS = 1.0
_ERASE = "\r\x1b[K"  # the line, on any terminal of today


class Progress:
    """One line on standard error, as long as the block runs, with the seconds that the present piece of work has taken.
    Only where standard error is a terminal."""

    def __init__(self, doing: str = "") -> None:
        self._doing, self._since = doing, time.monotonic()
        self._ended = threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._tick, daemon=True) if sys.stderr.isatty() else None

    def __enter__(self) -> Progress:
        if self._thread:
            self._show()
            self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join()
            self._write(_ERASE)

    def on(self, doing: str) -> None:
        """From now on this is done; empty for nothing."""
        self._doing, self._since = doing, time.monotonic()
        if self._thread:
            self._show()

    def say(self, line: str, *, err: bool = False) -> None:
        """A line that stays, above that one."""
        with self._writing:
            if self._thread:
                click.echo(_ERASE, nl=False, err=True)
            click.echo(line, err=err)

    def _tick(self) -> None:
        while not self._ended.wait(_EVERY_SECONDS):
            self._show()

    def _show(self) -> None:
        if self._doing:
            self._write(f"{_ERASE}{self._doing} ... {time.monotonic() - self._since:.0f} s")

    def _write(self, text: str) -> None:
        with self._writing:
            click.echo(text, nl=False, err=True)


def agreed(question: str, *, yes: bool) -> None:
    """Asks a person at a terminal, and raises Abort where the answer is no. A script has nobody to ask: what it says is
    done, with `--yes` or without."""
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    if not click.confirm(question, err=True):
        click.echo("nothing is changed", err=True)
        raise click.Abort
