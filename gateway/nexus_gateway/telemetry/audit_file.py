"""The files of one process's audit chain: made anew, only appended to, and never left with half a batch."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from nexus_gateway.telemetry.chain import Tip, bound
from nexus_gateway.telemetry.logs import timestamp


class AuditFile:
    """Raises OSError; `size` is then what it was before."""

    def __init__(self, folder: Path) -> None:
        """Makes `audit-<start>-<pid>.jsonl`, which nobody else may read. Replicas that share a folder may have the same
        pid: who comes second in one microsecond takes the next."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        now = time.time_ns() // 1000
        while True:
            self.path = folder / _name(now)
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


class ChainFiles:
    """A chain of lines in one file after the other. What raises OSError leaves the chain as it was."""

    def __init__(self, folder: Path, header: dict[str, Any], largest: int) -> None:
        """`header` is what all headers of the chain say; a file of `largest` bytes or more is full."""
        self._folder, self._header, self._largest = folder, header, largest
        self._file: AuditFile | None = None
        self._tip, self._part, self._count = Tip(), 0, 0

    def open(self) -> AuditFile:
        """The file to write to, begun where there is none."""
        if self._file is None:
            fresh = AuditFile(self._folder)
            self._tip = self._begun(fresh, self._tip, 0)
            self._file = fresh
        return self._file

    def append(self, lines: list[dict[str, Any]]) -> None:
        if self.open().size >= self._largest:
            with suppress(OSError):  # where no new file can be had, the old one takes more
                self._go_on()
        pieces, tip = list[bytes](), self._tip
        for line in lines:
            piece, tip = bound(tip, line)
            pieces.append(piece)
        self.open().append(b"".join(pieces))
        self._tip = tip
        self._count += sum(line["kind"] == "decision" for line in lines)

    def close(self) -> None:
        """Ends the chain."""
        file = self.open()
        try:
            file.append(bound(self._tip, self._closed(None))[0])
        finally:
            file.close()

    def _go_on(self) -> None:
        """The new file is there before the old one names it: whoever is killed between the two leaves a header alone,
        never a name without a file."""
        full, fresh = self.open(), AuditFile(self._folder)
        closed, end = bound(self._tip, self._closed(fresh.path.name))
        tip = self._begun(fresh, end, self._part + 1)
        try:
            full.append(closed)
        except OSError:
            fresh.remove()
            raise
        self._file, self._tip, self._part, self._count = fresh, tip, self._part + 1, 0
        full.close()

    def _begun(self, fresh: AuditFile, tip: Tip, part: int) -> Tip:
        header, tip = bound(tip, {"kind": "header", "time": _now(), **self._header, "part": part})
        try:
            fresh.append(header)
        except OSError:
            fresh.remove()
            raise
        return tip

    def _closed(self, following: str | None) -> dict[str, Any]:
        return {"kind": "closed", "time": _now(), "count": self._count, "next": following}


def _now() -> str:
    return timestamp(time.time())


def _name(microseconds: int) -> str:
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"audit-{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}.{rest:06d}Z-{os.getpid()}.jsonl"
