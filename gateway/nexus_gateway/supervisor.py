"""Several processes behind one port: started, watched, replaced, stopped.

They share one listening socket, opened here: what waits to be accepted then waits for all of them, and is not lost with
one that dies. A process that dies takes its own requests with it and no other's.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.siblings import fold
from nexus_gateway.start import Start, Worker, listen, log_lock
from nexus_gateway.telemetry.logs import LogWriter, event_line

Serve = Callable[[Start, Sequence[socket.socket], Worker], None]

_STEADY_SECONDS = 10.0  # a process that has lived so long has started well
_LONGEST_PAUSE = 5.0
_LONGEST_FOLDER = 90  # bytes; a socket's path has 103 on macOS, 107 on Linux, and its name is /<pid>.sock
_HOPELESS = 10  # deaths soon after the start, one after the other: it will not get better


@dataclass
class _Running:
    process: SpawnProcess
    worker: Worker
    since: float


def supervise(start: Start, serve: Serve) -> int:
    """Returns the exit status after SIGTERM or SIGINT: 0 where all ended well. Raises ConfigRefused."""
    sockets = listen(start)
    with tempfile.TemporaryDirectory(prefix="nexus-gateway-") as name:
        folder = Path(name)
        if len(os.fsencode(folder)) > _LONGEST_FOLDER:
            raise ConfigRefused(f"TMPDIR: {folder.parent}: too long for a socket's path: name a shorter folder")
        logs = LogWriter(sys.stdout, lock=log_lock(folder))
        logs.start()
        try:
            return _Supervisor(start, serve, sockets, folder, logs).run()
        finally:
            logs.stop()


class _Supervisor:
    def __init__(self, start: Start, serve: Serve, sockets: list[socket.socket], folder: Path, logs: LogWriter) -> None:
        self._start, self._serve, self._sockets, self._folder, self._logs = start, serve, sockets, folder, logs
        self._running: list[_Running] = []
        self._due: list[tuple[float, int]] = []
        """(when, number) of processes that are to be started again."""
        self._stopping = False
        self._early = self._restarts = self._status = 0

    def run(self) -> int:
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            for number in range(self._start.workers):
                self._begin(number)
            while self._running or (self._due and not self._stopping):
                pause = max(0.0, min(when for when, _ in self._due) - time.monotonic()) if self._due else 1.0
                wait([one.process.sentinel for one in self._running], timeout=min(pause, 1.0))
                for ended in [one for one in self._running if not one.process.is_alive()]:
                    self._ended(ended)
                self._restart()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return self._status

    def _begin(self, number: int) -> None:
        worker = Worker(number, self._folder)
        process = multiprocessing.get_context("spawn").Process(
            target=self._serve, args=(self._start, self._sockets, worker), name=f"nexus-gateway-{number}"
        )
        process.start()
        self._running.append(_Running(process, worker, time.monotonic()))
        if self._stopping:  # the signal came while it was being started
            self._pass_on()

    def _ended(self, ended: _Running) -> None:
        self._running.remove(ended)
        status, pid = ended.process.exitcode, ended.process.pid
        if self._stopping:
            # One that was still starting has no handler yet, and ends of the signal itself.
            self._status = self._status or (0 if status in (0, -signal.SIGTERM) else 1)
            return
        self._restarts += 1
        try:
            fold(self._folder, pid, self._restarts)
        except OSError as error:
            self._tell(f"what the worker counted is lost: {error.strerror}", pid, status)
        lived = time.monotonic() - ended.since
        self._early = 0 if lived > _STEADY_SECONDS else self._early + 1
        if self._early > _HOPELESS:
            self._tell("workers end as soon as they have started; giving up", pid, status)
            self._status = 1
            self._stop(signal.SIGTERM, None)
            return
        self._tell("worker has ended; another takes its place", pid, status)
        pause = 0.0 if not self._early else min(_LONGEST_PAUSE, 0.1 * 2**self._early)
        self._due.append((time.monotonic() + pause, ended.worker.number))

    def _restart(self) -> None:
        now = time.monotonic()
        due = [entry for entry in self._due if entry[0] <= now]
        for entry in due:
            self._due.remove(entry)
            if not self._stopping:
                self._begin_again(entry[1])

    def _begin_again(self, number: int) -> None:
        """Open: where the system has no room for another process, those that there are serve on."""
        try:
            self._begin(number)
        except OSError as error:
            self._tell(f"no worker could be started: {error.strerror}", None, None)
            self._due.append((time.monotonic() + _LONGEST_PAUSE, number))

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Also of a second signal, which ends them sooner."""
        self._stopping = True
        for listening in self._sockets:
            listening.close()  # the processes have their own; while this one was open, nobody would be refused
        self._pass_on()

    def _pass_on(self) -> None:
        for one in self._running:
            if one.process.pid is not None and one.process.is_alive():
                os.kill(one.process.pid, signal.SIGTERM)

    def _tell(self, message: str, pid: int | None, status: int | None) -> None:
        self._logs.write(event_line(message, "error", pid=pid, exit_status=status))


def end_with_parent() -> None:
    """In a worker: a supervisor that was killed cannot stop it, and it would hold the port against the next one."""
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, name="nexus-parent", daemon=True).start()
