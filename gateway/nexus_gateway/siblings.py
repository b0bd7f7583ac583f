"""How the processes of one gateway know of each other: each answers on a socket of its own in a private folder.

Whoever is asked for metrics asks all of them and adds. What a process has told is also in a file of its own, written
before it is told and every few seconds, so that what has died is still counted and no counter goes back.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nexus_gateway.start import Worker
from nexus_gateway.telemetry.merged import Figures, add

DEADLINE_SECONDS = 1.0
"""For one process to answer; its file is taken instead."""
_WRITE_SECONDS = 2.0
_GONE = "gone.json"


@dataclass(frozen=True)
class Told:
    """What all processes say together."""

    states: list[dict[str, Any]]
    """Of each that answers: its pid, its revision and what it refused."""
    figures: list[Figures]
    gone: Figures
    """Counted by processes that have ended."""
    silent: int
    """Processes that do not answer."""
    restarts: int


@dataclass
class _Gone:
    pids: list[int] = field(default_factory=list)
    figures: Figures = field(default_factory=dict)
    restarts: int = 0


class Siblings:
    """It belongs to the loop."""

    def __init__(self, worker: Worker, state: Callable[[], dict[str, Any]], figures: Callable[[bool], Figures]) -> None:
        """`figures(scraped)`: with what is asked for only once, or without."""
        self._folder, self._state, self._figures = worker.folder, state, figures
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def begin(self) -> None:
        self._server = await asyncio.start_unix_server(self._answer, self._folder / f"{os.getpid()}.sock")
        self._write_soon()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        self._write(self._figures(False))

    async def gather(self) -> Told:
        """Of this process and all others. Read again where one of them has ended meanwhile, so that it is counted
        once."""
        while True:
            gone = _read_gone(self._folder)
            pids = [int(path.stem) for path in sorted(self._folder.glob("*.sock")) if int(path.stem) not in gone.pids]
            answers = await asyncio.gather(*(self._ask(pid) for pid in pids))
            if _read_gone(self._folder).pids == gone.pids:
                break
        states = [answer["state"] for answer in answers if answer and "state" in answer]
        figures = [answer["figures"] for answer in answers if answer]
        return Told(states, figures, gone.figures, len(pids) - len(states), gone.restarts)

    async def _ask(self, pid: int) -> dict[str, Any] | None:
        if pid == os.getpid():
            return self._own()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._folder / f"{pid}.sock")
                try:
                    answer: dict[str, Any] = json.loads(await reader.read())
                finally:
                    writer.close()
                return answer
        except (OSError, TimeoutError, ValueError):
            return _read(self._folder / f"{pid}.json")

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(json.dumps(self._own()).encode())
            await writer.drain()
        finally:
            writer.close()

    def _own(self) -> dict[str, Any]:
        figures = self._figures(True)
        self._write(figures)
        return {"state": self._state(), "figures": figures}

    def _write_soon(self) -> None:
        self._write(self._figures(False))
        self._timer = asyncio.get_running_loop().call_later(_WRITE_SECONDS, self._write_soon)

    def _write(self, figures: Figures) -> None:
        """Open: where the folder cannot be written, what this process counts ends with it."""
        with suppress(OSError):
            _put(self._folder / f"{os.getpid()}.json", {"figures": figures})


def fold(folder: Path, pid: int | None, restarts: int) -> None:
    """Adds what an ended process has counted to those before it. Called by the supervisor alone."""
    gone = _read_gone(folder)
    last = _read(folder / f"{pid}.json") or {"figures": {}}
    figures = add([gone.figures, last["figures"]], gauges=False)
    _put(folder / _GONE, {"pids": [*gone.pids, pid], "figures": figures, "restarts": restarts})
    for ending in ("json", "sock"):
        (folder / f"{pid}.{ending}").unlink(missing_ok=True)


def _read_gone(folder: Path) -> _Gone:
    return _Gone(**(_read(folder / _GONE) or {}))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found


def _put(path: Path, document: dict[str, Any]) -> None:
    """In one step: a reader finds the old one or the new."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(document))
    fresh.replace(path)
