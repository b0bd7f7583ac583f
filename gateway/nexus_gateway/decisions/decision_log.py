"""Every decision with what it was made by: lines in files of a folder, written off the request's path.

Open: where the disk is full or the folder cannot be written, requests go on. The decisions that are lost are counted,
and once writing works again a line `gap` tells how many. It is no audit log: lines are not chained.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nexus_gateway.decisions.considered import Considered
from nexus_gateway.decisions.line import decision_line
from nexus_gateway.telemetry.appended_file import AppendedFile
from nexus_gateway.telemetry.gap_log import GapLog, Line
from nexus_gateway.telemetry.record import RequestRecord

LARGEST = 64 << 20
"""Bytes of a file, after which the next one is begun."""
PREFIX = "decisions"


@dataclass(frozen=True, slots=True)
class _Made:
    time: float
    record: RequestRecord
    considered: Considered


class DecisionLog(GapLog[_Made]):
    """Open, see above."""

    def __init__(self, folder: Path, *, largest: int = LARGEST) -> None:
        """Each process writes files of its own in `folder`."""
        super().__init__("nexus-decisions")
        self._folder, self._largest = folder, largest
        self._file: AppendedFile | None = None

    def write(self, record: RequestRecord, considered: Considered) -> None:
        """Takes them as they are at the request's end: nothing may change them any more."""
        self.add(_Made(time.time(), record, considered))

    def line(self, item: _Made) -> Line:
        return decision_line(item.time, item.record, item.considered)

    def append(self, lines: list[Line]) -> None:
        self._open().append(b"".join(json.dumps(line).encode() + b"\n" for line in lines))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self) -> AppendedFile:
        if self._file is not None and self._file.size >= self._largest:
            full, self._file = self._file, None
            with suppress(OSError):
                full.close()
        if self._file is None:
            self._file = AppendedFile(self._folder, PREFIX)
        return self._file
