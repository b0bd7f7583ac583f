"""What is wrong with one file of a checkpoint."""

from __future__ import annotations

_SHOWN = 80  # characters of a name that the checkpoint's maker has chosen


class Fault(Exception):
    def __init__(self, file: str, problem: str) -> None:
        super().__init__(f"{quoted(file)} {problem}")


def quoted(text: object) -> str:
    """A hostile text, escaped and cut."""
    shown = str(text).encode("ascii", "backslashreplace").decode()
    return shown[:_SHOWN] if shown.isprintable() else repr(shown)[:_SHOWN]
