"""A file of lines: made anew, only appended to, and never left with half an append."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path


class AppendedFile:
    """Raises OSError; `size` is then what it was before."""

    def __init__(self, folder: Path, prefix: str) -> None:
        """Makes `<prefix>-<start>-<pid>.jsonl`, which nobody else may read. Replicas that share a folder may have the
        same pid: who comes second in one microsecond takes the next."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        now = time.time_ns() // 1000
        while True:
            self.path = folder / _name(prefix, now)
            try:
                self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
                break
            except FileExistsError:
                now += 1
        self.size, self._torn = 0, False

    def append(self, data: bytes) -> None:
        """All of it or nothing: what a full disk left of an attempt is cut off, now or before the next one."""
        self._mend()
        self._torn = True
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError:
            with suppress(OSError):
                self._mend()
            raise
        self._torn = False
        self.size += len(data)

    def close(self) -> None:
        """What was appended is then on the disk."""
        try:
            os.fsync(self._fd)
        finally:
            os.close(self._fd)

    def remove(self) -> None:
        os.close(self._fd)
        self.path.unlink()

    def _mend(self) -> None:
        if self._torn:
            os.ftruncate(self._fd, self.size)
            self._torn = False


def _name(prefix: str, microseconds: int) -> str:
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{prefix}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}.{rest:06d}Z-{os.getpid()}.jsonl"
