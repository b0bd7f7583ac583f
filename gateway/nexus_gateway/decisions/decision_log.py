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
from typing import Any

from nexus_gateway.decisions.considered import Considered
from nexus_gateway.decisions.line import decision_line
from nexus_gateway.telemetry.appended_file import AppendedFile
from nexus_gateway.telemetry.batches import BatchWriter
from nexus_gateway.telemetry.logs import timestamp
from nexus_gateway.telemetry.record import RequestRecord

LARGEST = 64 << 20
"""Bytes of a file, after which the next one is begun."""
PREFIX = "decisions"


@dataclass(frozen=True, slots=True)
class _Made:
    time: float
    record: RequestRecord
    considered: Considered


class DecisionLog(BatchWriter[_Made]):
    """Open, see above. `problem` says why the last batch could not be written; it is empty while all is well."""

    def __init__(self, folder: Path, *, largest: int = LARGEST) -> None:
        """Each process writes files of its own in `folder`."""
        super().__init__("nexus-decisions")
        self._folder, self._largest, self._told = folder, largest, 0
        self._file: AppendedFile | None = None
        self.problem = ""

    def start(self) -> None:
        """The first file is tried at once, so that `problem` is known from the start."""
        with suppress(OSError):
            self.put([])
        super().start()

    def stop(self) -> None:
        super().stop()
        with suppress(OSError):
            if self.dropped > self._told:
                self.put([])
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def write(self, record: RequestRecord, considered: Considered) -> None:
        """Takes them as they are at the request's end: nothing may change them any more."""
        self.add(_Made(time.time(), record, considered))

    def put(self, batch: list[_Made]) -> None:
        lost = self.dropped - self._told
        lines: list[dict[str, Any]] = [{"kind": "gap", "time": timestamp(time.time()), "lost": lost}] if lost else []
        lines += [decision_line(made.time, made.record, made.considered) for made in batch]
        try:
            self._open().append(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        except OSError as error:
            self.problem = f"{error.filename or self._folder}: {error.strerror}"
            raise
        self._told += lost
        self.problem = ""

    def _open(self) -> AppendedFile:
        if self._file is not None and self._file.size >= self._largest:
            full, self._file = self._file, None
            with suppress(OSError):
                full.close()
        if self._file is None:
            self._file = AppendedFile(self._folder, PREFIX)
        return self._file
