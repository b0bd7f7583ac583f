"""A folder of backups: files by their digest, each once, and a manifest for each backup.

    files/ab/abcdef…      a file of any backup; never changed
    backups/<stamp>-<digest of the manifest>.json
    lock                  held by whoever writes

A backup that is killed leaves files that no manifest names; the next that may drop something drops them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nexus_release.backup.manifest import Manifest, Saved, manifest_file, read_manifest, stamp_of
from nexus_release.errors import Conflict, DigestMismatch, Missing
from nexus_release.journal import write_whole

_BLOCK = 1 << 20  # bytes read at a time
_PRIVATE = ".saving-"


class Vault:
    def __init__(self, root: Path) -> None:
        self._root, self._files, self._backups = root, root / "files", root / "backups"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """For whoever writes. Raises Conflict where another does. What a killed one was writing is removed."""
        self._files.mkdir(parents=True, exist_ok=True)
        with (self._root / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel lets go however this process ends
            except BlockingIOError:
                raise Conflict(f"{self._root}: another backup is being written there; wait for it") from None
            for left in self._files.glob(f"{_PRIVATE}*"):
                left.unlink()
            yield

    def keep(self, source: Path, path: str) -> Saved:
        """Copies a file in, whole or not at all. One that is there already gives way: its bytes may have changed."""
        handle, name = tempfile.mkstemp(dir=self._files, prefix=_PRIVATE)
        temporary = Path(name)
        try:
            hasher, size = hashlib.sha256(), 0
            with os.fdopen(handle, "wb") as out, source.open("rb") as file:
                while block := file.read(_BLOCK):
                    hasher.update(block)
                    size += len(block)
                    out.write(block)
                out.flush()
                os.fsync(out.fileno())
            saved = Saved(path=path, bytes=size, digest=f"sha256:{hasher.hexdigest()}")
            place = self._place(saved)
            place.parent.mkdir(exist_ok=True)
            temporary.replace(place)
            return saved
        finally:
            temporary.unlink(missing_ok=True)

    def has(self, saved: Saved) -> bool:
        """By name and length; its bytes are proved when they are fetched."""
        place = self._place(saved)
        return place.is_file() and place.stat().st_size == saved.bytes

    def fetch(self, saved: Saved, into: Path) -> None:
        """Raises DigestMismatch or Missing."""
        place, hasher = self._place(saved), hashlib.sha256()
        if not place.is_file():
            raise Missing(f"{place}: the backup names it as {saved.path}, and it is gone; take an older backup by --at")
        into.parent.mkdir(parents=True, exist_ok=True)
        with place.open("rb") as file, into.open("wb") as out:
            while block := file.read(_BLOCK):
                hasher.update(block)
                out.write(block)
        if (found := f"sha256:{hasher.hexdigest()}") != saved.digest:
            raise DigestMismatch(f"{place}: the backup's copy of {saved.path}", saved.digest, found)

    def seal(self, manifest: Manifest) -> str:
        """Makes it a backup; returns its file's name."""
        name, text = manifest_file(manifest)
        write_whole(self._backups / name, text)
        return name

    def names(self) -> list[str]:
        """Of every manifest, newest first."""
        there = self._backups.iterdir() if self._backups.is_dir() else ()
        return sorted((path.name for path in there if stamp_of(path.name)), reverse=True)

    def read(self, stamp: str = "") -> Manifest:
        """The newest, or the one of `stamp`. Raises Missing or DigestMismatch."""
        found = [name for name in self.names() if stamp_of(name).startswith(stamp)]
        if not found:
            there = ", ".join(map(stamp_of, self.names())) or "none"
            raise Missing(f"{self._root}: no backup {stamp or 'at all'}; there are: {there}")
        return read_manifest(found[0], (self._backups / found[0]).read_bytes())

    def forget(self, most: int) -> list[str]:
        """Drops all but the `most` newest backups, and the files that none of those names. Raises DigestMismatch, and
        drops nothing, where a manifest that stays cannot be read."""
        names = self.names()
        kept = [read_manifest(name, (self._backups / name).read_bytes()) for name in names[:most]]
        for name in names[most:]:
            (self._backups / name).unlink()
        wanted = {self._place(file) for one in kept for part in one.parts for file in part.files}
        for path in self._files.glob("*/*"):
            if path not in wanted:
                path.unlink()
        return names[most:]

    def _place(self, saved: Saved) -> Path:
        name = saved.digest.removeprefix("sha256:")
        return self._files / name[:2] / name
