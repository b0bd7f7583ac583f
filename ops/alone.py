"""Makes a file by a command, one process of a clone at a time: `alone.py LOCK FILE PREREQUISITE... -- COMMAND`.

Two makes at once would lay packages into one environment. Whoever has waited looks again whether there is anything left
to do. A command of it that comes back here does not wait for itself.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

_HELD = "NEXUS_ALONE"


def main(words: list[str]) -> int:
    at = words.index("--")
    (lock, file, *others), command = [Path(word) for word in words[:at]], words[at + 1 :]
    if os.environ.get(_HELD) == str(lock.resolve()):
        return _run(command)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if made(file, others):
            return 0
        os.environ[_HELD] = str(lock.resolve())
        return _run(command)


def _run(command: list[str]) -> int:
    return subprocess.run(command, close_fds=False).returncode  # make's jobs are counted by files that it has open


def made(file: Path, others: Iterable[Path]) -> bool:
    """As make decides it."""
    return file.exists() and all(file.stat().st_mtime_ns >= other.stat().st_mtime_ns for other in others)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
