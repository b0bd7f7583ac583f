"""Lines of a file that must not end unnoticed: what could not be written is told in a line of its own, later.

Open: where the disk is full or the folder cannot be written, requests go on. What is lost is counted, and once writing
works again a line `gap` tells how many.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from contextlib import suppress
from typing import Any, TypeVar

from nexus_gateway.telemetry.batches import BatchWriter
from nexus_gateway.telemetry.logs import timestamp

T = TypeVar("T")
Line = dict[str, Any] | bytes
"""Bytes are one that is written already, but for what binds it to others."""


class GapLog(BatchWriter[T]):
    """`problem` says why the last batch could not be written; it is empty while all is well."""

    def __init__(self, thread: str) -> None:
        super().__init__(thread)
        self._told, self.problem = 0, ""

    @abstractmethod
    def line(self, item: T) -> Line: ...

    @abstractmethod
    def append(self, lines: list[Line]) -> None:
        """All of them or none. Begins a file where there is none. Raises OSError."""

    @abstractmethod
    def close(self) -> None:
        """Raises OSError."""

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
        with suppress(OSError):
            self.close()

    def put(self, batch: list[T]) -> None:
        lost = self.dropped - self._told
        gap: list[Line] = [{"kind": "gap", "time": timestamp(time.time()), "lost": lost}] if lost else []
        try:
            self.append([*gap, *map(self.line, batch)])
        except OSError as error:
            self.problem = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
            raise
        self._told += lost
        self.problem = ""
