"""A program of ours at a terminal, as a person has it."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

from .gateway import BIN


def at_a_terminal(*words: str, typed: str = "", cwd: Path | None = None, **environ: str) -> tuple[int, str]:
    """(status, what the terminal shows) of a program whose input and output are a terminal."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [str(BIN / words[0]), *words[1:]],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env={**os.environ, **environ},
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the last of its writers has ended
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    return child.wait(60), shown.decode()
