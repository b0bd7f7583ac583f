"""`nexus up --foreground`: one process that starts everything, follows the remote's main, and ends everything."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from nexus_release.errors import Conflict, NexusError
from nexus_release.local import gateway, mlflow_server
from nexus_release.local.cluster import Cluster, Sites
from nexus_release.local.engines import EngineChoice
from nexus_release.local.free_ports import free_port
from nexus_release.local.paths import Paths
from nexus_release.local.processes import end, started_at
from nexus_release.local.state import LocalState, Mark, read_state
from nexus_release.wiring import Connections, Tools

_log = logging.getLogger("nexus.local")

_POLL_SECONDS = 0.5  # between two looks at main; a look at a bare repository takes milliseconds
_SLICE_SECONDS = 0.1  # within which a signal is noticed
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 60.0  # seconds until a commit that failed is tried again; doubled each time


class Stopped(BaseException):
    """SIGTERM or SIGINT; no error, so that nothing that handles errors swallows it."""


def supervise(home: Path, root: Path, environ: Mapping[str, str]) -> None:
    """Returns after SIGTERM or SIGINT, when everything that it started has ended. Raises Conflict where another
    supervisor has this home."""
    paths = Paths(home.absolute())
    with _alone(paths), _signals() as pause:
        before = end_leftovers(paths)
        choice = EngineChoice.from_environment(environ, root.absolute())
        sites = _sites(environ)
        connections = Connections.from_environment(environ, state=paths.home)
        connections = connections.model_copy(update={"registry": sites.registry})
        state = LocalState(
            supervisor=Mark(name="nexus up", pid=os.getpid(), started=started_at(os.getpid()) or ""),
            registry=sites.registry,
            gateway=sites.gateway,
            remote=connections.remote,
            engine=choice.wanted,
        )
        cluster = Cluster(paths, Tools(connections), choice, sites, state, pause)
        follower = Follower(cluster, resume=before.serving if before else "")
        try:
            cluster.start()
            while True:
                follower.look()
                cluster.tend()
                pause(_POLL_SECONDS)
        except Stopped:
            _log.info("stopping")
        finally:
            cluster.stop()


class Follower:
    """Decides when which commit is applied."""

    def __init__(self, cluster: Cluster, resume: str) -> None:
        self._cluster, self._resume = cluster, resume
        self._failed, self._pause, self._again = "", _FIRST_PAUSE, 0.0

    def look(self) -> None:
        if head := self._head():
            if self._resume and self._resume != head:
                self._try(self._resume)  # main may have a fault; what served before a restart serves again first
            self._resume = ""
            if head == self._cluster.state.applied:
                self._cluster.note(refused="", last_problem="")
            elif head != self._failed or time.monotonic() >= self._again:
                self._follow(head)
        if not self._cluster.state.ready:
            self._cluster.note(ready=self._cluster.healthy())

    def _head(self) -> str:
        """Empty where the remote cannot be read; what runs runs on."""
        try:
            return self._cluster.head()
        except NexusError as error:
            self._cluster.note(last_problem=f"main cannot be read: {error}")
            return ""

    def _follow(self, head: str) -> None:
        error = self._try(head)
        if error is None:
            return
        self._pause = min(_LONGEST_PAUSE, self._pause * 2) if head == self._failed else _FIRST_PAUSE
        self._failed, self._again = head, time.monotonic() + self._pause
        refused = "" if error.retry else head
        self._cluster.note(refused=refused, last_problem=f"{head[:12]} is not applied: {error}")

    def _try(self, commit: str) -> NexusError | None:
        try:
            self._cluster.apply(commit)
        except NexusError as error:
            _log.warning("%s is not applied: %s", commit[:12], error)
            return error
        except Exception as error:  # the boundary: whatever is wrong with one commit, traffic goes on
            _log.exception("%s is not applied", commit[:12])
            return NexusError(repr(error))
        return None


def end_leftovers(paths: Paths) -> LocalState | None:
    """Ends what a supervisor that was killed has left running; returns what it said last."""
    for folder in paths.local.glob(".checkout-*"):
        shutil.rmtree(folder)
    before = read_state(paths.home)
    for mark in before.children if before else ():
        if end(mark):
            _log.info("ended %s (%d), left over from an earlier run", mark.name, mark.pid)
    return before


def _sites(environ: Mapping[str, str]) -> Sites:
    given = environ.get("MLFLOW_TRACKING_URI", "")
    return Sites(
        registry=given or f"http://127.0.0.1:{free_port(mlflow_server.PORT)}",
        own_registry=not given,
        gateway=f"http://127.0.0.1:{free_port(gateway.PORT)}",
    )


@contextmanager
def _alone(paths: Paths) -> Iterator[None]:
    paths.local.mkdir(parents=True, exist_ok=True)
    with paths.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel lets go of it however this process ends
        except BlockingIOError:
            raise Conflict(f"another `nexus up` runs with {paths.home}; `nexus down` stops it") from None
        yield


@contextmanager
def _signals() -> Iterator[Callable[[float], None]]:
    """Gives a `pause` that sleeps, and raises Stopped once a signal to stop has come."""
    asked = False

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True  # raising here could cut a write in two

    def pause(seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not asked and time.monotonic() < deadline:
            time.sleep(min(_SLICE_SECONDS, seconds))
        if asked:
            raise Stopped

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield pause
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
