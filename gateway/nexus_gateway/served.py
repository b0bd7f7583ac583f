"""Which snapshot is served: swapped by one pointer, the last good one kept, also across a restart."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.snapshot import Snapshot, Source, build, fingerprint, load, read_files, read_resolve, revision

_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Refused:
    """Configuration that was not taken."""

    revision: str
    """Of the refused bytes; empty where they could not be read."""
    reason: str


class Served:
    """The pointer. `current` is read once by each request; only the watcher's thread writes it."""

    def __init__(self, current: Snapshot, refused: Refused | None = None) -> None:
        self.current, self.refused = current, refused
        self.swaps = self.refusals = 0


def first(source: Source, state: Path | None) -> Served:
    """The snapshot to start with: what the source says, or where that is refused, the last good one of `state`.

    Raises ConfigRefused where there is neither.
    """
    try:
        return Served(_kept(load(source), state))
    except ConfigRefused as error:
        files = read_files(state / "routes") if state and (state / "routes").is_dir() else {}
        if not files:
            raise
        last = build(files, read_resolve(source.resolve), source.first_byte_seconds)
        return Served(last, Refused(_revision_of(source), str(error)))


class Watcher:
    """Looks for a change several times a second, in a thread, so that parsing never holds a request up."""

    def __init__(self, source: Source, served: Served, state: Path | None, changed: Callable[[Snapshot], None]) -> None:
        """`changed` is called in the watcher's thread after a swap."""
        self._source, self._served, self._state, self._changed = source, served, state, changed
        self._seen = None if served.refused else fingerprint(source)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="nexus-config", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Takes what is new, or says why not. A bad file never replaces a good one."""
        seen = fingerprint(self._source)
        if seen == self._seen:
            return
        try:
            snapshot = load(self._source)
        except ConfigRefused as error:
            refused = Refused(_revision_of(self._source), str(error))
            if refused != self._served.refused:
                self._served.refusals += 1
            self._served.refused = refused
        else:
            self._served.refused = None
            self._served.current = _kept(snapshot, self._state)
            self._served.swaps += 1
            self._changed(snapshot)
        if fingerprint(self._source) == seen:  # else it changed while it was read, and is read again
            self._seen = seen

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            self.look()


def _revision_of(source: Source) -> str:
    try:
        return revision(read_files(source.routes))
    except ConfigRefused:
        return ""


def _kept(snapshot: Snapshot, state: Path | None) -> Snapshot:
    """Keeps the files for the next start, by a rename. Open: where that cannot be written, serving goes on."""
    if state is None:
        return snapshot
    try:
        state.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=state, prefix=".routes-"))
        for name, data in snapshot.files.items():
            (fresh / name).write_bytes(data)
        old = state / f".old-{os.getpid()}"
        if (state / "routes").exists():
            (state / "routes").rename(old)
        fresh.rename(state / "routes")
        shutil.rmtree(old, ignore_errors=True)
    except OSError:
        pass
    return snapshot
