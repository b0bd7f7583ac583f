"""The files of one process's audit chain: made anew, only appended to, and never left with half a batch."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from nexus_gateway.telemetry.appended_file import AppendedFile
from nexus_gateway.telemetry.chain import Tip, bound, bound_all
from nexus_gateway.telemetry.logs import timestamp


class ChainFiles:
    """A chain of lines in one file after the other. What raises OSError leaves the chain as it was."""

    def __init__(self, folder: Path, header: dict[str, Any], largest: int) -> None:
        """`header` is what all headers of the chain say; a file of `largest` bytes or more is full."""
        self._folder, self._header, self._largest = folder, header, largest
        self._file: AppendedFile | None = None
        self._tip, self._part, self._count = Tip(), 0, 0

    def open(self) -> AppendedFile:
        """The file to write to, begun where there is none."""
        if self._file is None:
            fresh = AppendedFile(self._folder, "audit")
            self._tip = self._begun(fresh, self._tip, 0)
            self._file = fresh
        return self._file

    def append(self, lines: list[dict[str, Any] | bytes]) -> None:
        """Decisions may be written already, but for their place in the chain, see `chain.bound_text`."""
        if self.open().size >= self._largest:
            with suppress(OSError):  # where no new file can be had, the old one takes more
                self._go_on()
        said, tip = bound_all(self._tip, lines)
        self.open().append(said)
        self._tip = tip
        self._count += sum(isinstance(line, bytes) or line["kind"] == "decision" for line in lines)

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
        full, fresh = self.open(), AppendedFile(self._folder, "audit")
        closed, end = bound(self._tip, self._closed(fresh.path.name))
        tip = self._begun(fresh, end, self._part + 1)
        try:
            full.append(closed)
        except OSError:
            fresh.remove()
            raise
        self._file, self._tip, self._part, self._count = fresh, tip, self._part + 1, 0
        full.close()

    def _begun(self, fresh: AppendedFile, tip: Tip, part: int) -> Tip:
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
