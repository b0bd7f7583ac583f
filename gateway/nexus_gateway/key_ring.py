"""The keys that hold just now, and the watching of the file that they come from."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.keys import Key, Keys, read_keys

_LOOK_SECONDS = 0.5


class KeyRing:
    """The pointer to what is held; only the watcher's thread changes it."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def find(self, digest: bytes, now: float) -> Key | None:
        """The key, unless its time is over at `now` (Unix)."""
        key = self.keys.get(digest)
        return None if key is None or (key.expires is not None and now >= key.expires) else key


class KeyWatcher:
    """Takes a changed key file whole, or not at all: a file that is bad, or gone, or still being written leaves the
    keys as they were, and the first two are told once. A key that is no longer in it opens nothing from then on;
    answers under way are finished."""

    def __init__(self, path: Path, ring: KeyRing, tell: Callable[[str, str], None]) -> None:
        """`tell(message, reason)` is called in the watcher's thread; an empty reason is good news."""
        self._path, self._ring, self._tell = path, ring, tell
        self._seen, self._refused = self._print(), ""
        self._looked = self._seen
        """As it was at the last look; `_seen` is what was read last."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="nexus-keys", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Takes what is new and stands still, or says why not."""
        seen, before = self._print(), self._looked
        self._looked = seen
        if seen == self._seen or seen != before:  # half of a list of keys is a list of keys: it must stand still first
            return
        try:
            keys = read_keys(self._path)
        except ConfigRefused as error:
            self._refuse(str(error))
        except Exception as error:  # a fault of our own must not end the watching
            self._refuse(f"{self._path}: {type(error).__name__} while it was read")
        else:
            self._ring.keys, self._refused = keys, ""
            self._tell("keys taken", "")
        self._seen = seen

    def _refuse(self, reason: str) -> None:
        if reason != self._refused:
            self._tell("keys refused; those from before hold on", reason)
        self._refused = reason

    def _print(self) -> object:
        """Of what the path leads to: a kubelet swaps the link, not the file."""
        try:
            real = self._path.resolve(strict=True)
            found = real.stat()
        except OSError as error:
            return error.errno
        return (str(real), found.st_ino, found.st_mtime_ns, found.st_size)
