"""A process that is started again when it ends, ever more slowly."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

from nexus_release.errors import NexusError
from nexus_release.local.processes import GRACE_SECONDS, Process, Program
from nexus_release.local.state import Mark

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds; doubled at each death
_SETTLED_SECONDS = 60.0  # a process that lived that long starts again at the first pause


@dataclass(eq=False)
class Kept:
    program: Program
    log: Path
    process: Process | None = None
    _started: float = 0.0
    _deaths: int = 0
    _again: float = math.inf
    """When it may be started again."""

    def start(self) -> Process:
        """Raises NexusError where the program is not there."""
        self._started = time.monotonic()
        self.process = Process.start(self.program, self.log)
        return self.process

    def tend(self) -> bool:
        """Starts it again where it has ended and its pause is over; True where a process came or went.

        What was never started, or was stopped, stays as it is.
        """
        now = time.monotonic()
        if self.process is not None:
            if self.process.alive:
                return False
            self.process.stop()  # what is left of its group
            self.process = None
            self._deaths = 1 if now - self._started > _SETTLED_SECONDS else self._deaths + 1
            self._again = now + min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (self._deaths - 1))
            return True
        if now < self._again:
            return False
        try:
            self.start()
        except NexusError:  # the program is gone for now, as while an environment is made anew
            self._again = now + _LONGEST_PAUSE
            return False
        return True

    def running(self) -> Process:
        """The process that was started. Raises NexusError while there is none."""
        if self.process is None:
            raise NexusError(f"{self.program.name} does not run")
        return self.process

    @property
    def marks(self) -> tuple[Mark, ...]:
        return (self.process.mark,) if self.process else ()

    @property
    def pid(self) -> int:
        """0 while it waits to be started again."""
        return self.process.pid if self.process else 0

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        if self.process is not None:
            self.process.stop(grace)
            self.process = None
        self._again = math.inf
