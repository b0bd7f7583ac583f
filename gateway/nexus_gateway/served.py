"""Which snapshot is served: swapped by one pointer, the last good one kept, also across a restart."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.garbage_collection import let_go
from nexus_gateway.snapshot import Snapshot, Source, build, fingerprint, load, parts, read_files, read_resolve, revision

KEPT = "routes"
"""Of the state folder: a link to the files of the last good configuration."""

_LOOK_SECONDS = 0.2
_LONGEST_PAUSE = 2.0
_REST = 20  # times as long as a look took: of thousands of files even that is work


@dataclass(frozen=True)
class Refused:
    """Configuration that was not taken."""

    revision: str
    """Of the refused bytes; empty where they could not be read."""
    reason: str


class Served:
    """The pointer. `current` is read once by each request; only the watcher's thread writes it."""

    def __init__(self, current: Snapshot, refused: Refused | None = None, seen: object = None) -> None:
        """`seen`: fingerprint of what `current` was read from, taken before; None where it is to be read again."""
        self.current, self.refused, self.seen = current, refused, seen
        self.swaps = self.refusals = 0


def first(source: Source, state: Path | None) -> Served:
    """The snapshot to start with: what the source says, or where that is refused, the last good one of `state`.

    Raises ConfigRefused where there is neither.
    """
    seen = fingerprint(source)
    try:
        return Served(load(source), seen=seen)
    except ConfigRefused as error:
        files = read_files(state / KEPT) if state and (state / KEPT).is_dir() else {}
        if not files:
            raise
        last = build(files, read_resolve(source.resolve), source.first_byte_seconds, source.environ)
        return Served(last, Refused(_revision_of(source), str(error)))


class Watcher:
    """Looks for a change several times a second, in a thread, so that parsing never holds a request up.

    What is changing is not read before it stands still over two looks: half of a file may be sound YAML, and of several
    files that belong together one may come first. A configuration that is refused, and one that could not be kept for
    the next start, are told through `tell`; the thread outlives any fault in what it reads.
    """

    def __init__(
        self,
        source: Source,
        served: Served,
        state: Path | None,
        *,
        changed: Callable[[Snapshot], None],
        tell: Callable[[str, str], None],
    ) -> None:
        """`changed` after a swap, and `tell(message, reason)`, are called in the watcher's thread."""
        self._source, self._served, self._state = source, served, state
        self._changed, self._tell = changed, tell
        self._seen = self._looked = served.seen
        """What was read last, and what the last look saw."""
        self._stop, self._pause = threading.Event(), _LOOK_SECONDS
        self._thread = threading.Thread(target=self._watch, name="nexus-config", daemon=True)

    def start(self) -> None:
        if self._served.refused is None:
            self._keep(self._served.current)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Takes what is new and stands still, or says why not. A bad file never replaces a good one."""
        began = time.perf_counter()
        seen, before = fingerprint(self._source), self._looked
        self._looked = seen
        self._pause = min(_LONGEST_PAUSE, max(_LOOK_SECONDS, _REST * (time.perf_counter() - began)))
        if seen == self._seen:
            return
        if seen == before:
            self._read(seen)
        else:
            self._pause = _LOOK_SECONDS

    def _read(self, seen: object) -> None:
        """What has changed again while it was read is nothing yet."""
        try:
            found: Snapshot | str = load(self._source, self._served.current)
        except ConfigRefused as error:
            found = str(error)
        except Exception as error:  # a fault of our own must not end the watching
            found = f"{self._source.routes}: {type(error).__name__} while it was read"
        if fingerprint(self._source) != seen:
            return
        self._seen = seen
        if isinstance(found, Snapshot):
            self._take(found)
        else:
            self._refuse(found)

    def _take(self, snapshot: Snapshot) -> None:
        before = parts(self._served.current)
        self._served.current = snapshot
        self._served.refused = None
        self._served.swaps += 1
        self._keep(snapshot)
        self._changed(snapshot)
        let_go(before)

    def _refuse(self, reason: str) -> None:
        refused = Refused(_revision_of(self._source), reason)
        if refused != self._served.refused:
            self._served.refusals += 1
            self._tell("configuration refused; the last good one serves", reason)
        self._served.refused = refused

    def _keep(self, snapshot: Snapshot) -> None:
        """Open: where it cannot be kept, serving goes on, and a restart may find nothing to go back to."""
        if self._state is None:
            return
        try:
            keep(snapshot, self._state)
        except OSError as error:
            self._tell("configuration not kept for the next start", f"{self._state}: {error.strerror}")

    def _watch(self) -> None:
        while not self._stop.wait(self._pause):
            self.look()


def keep(snapshot: Snapshot, state: Path) -> None:
    """Keeps the files for the next start. The link changes in one step, so a crash leaves the old ones or the new."""
    state.mkdir(parents=True, exist_ok=True)
    folder = state / f"{KEPT}-{snapshot.revision}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=state, prefix=".keep-") as temporary:
            fresh = Path(temporary) / "files"
            fresh.mkdir()
            for name, data in snapshot.files.items():
                (fresh / name).write_bytes(data)
            fresh.rename(folder)
    link = state / f".{KEPT}"
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.replace(state / KEPT)
    for other in state.glob(f"{KEPT}-*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)


def _revision_of(source: Source) -> str:
    try:
        return revision(read_files(source.routes))
    except ConfigRefused:
        return ""
