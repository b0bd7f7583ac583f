"""The content-addressed store as a folder: `<root>/sha256/<hex>/`, and beside it `listings/<hex>.json`."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nexus_release.adapters.store_listing import keep_listing, place
from nexus_release.digests import Listing, digest_folder, digest_json, folder_listing
from nexus_release.errors import BadInput, DigestMismatch, Missing
from nexus_release.frozen import Artifact

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PRIVATE = ".put-"
_OLD_SECONDS = 3600.0  # far more than a put needs between making its folder and locking it


class FolderStore:
    """The port `Store`. Entries appear whole, by a rename; what a killed put has left, the next put removes."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, folder: Path) -> Artifact:
        """Raises BadInput for a link or anything else that is no plain file. An entry whose bytes have changed on the
        disk is made anew."""
        entries = self._root / "sha256"
        entries.mkdir(parents=True, exist_ok=True)
        with _private(entries) as temporary:
            copy = temporary / "entry"
            _copy(folder, copy)
            listing = folder_listing(copy)
            digest = digest_folder(copy)
            target = self._path(digest)
            if not target.is_dir() or _digest(target) != digest:
                _sync(copy)
                _publish(copy, target, digest)
                _sync_folder(entries)
            if not self._blocks(digest).exists():
                keep_listing(self._blocks(digest), target)
        return Artifact(digest=digest, bytes=sum(int(size) for _, size, _ in listing), files=len(listing))

    def get(self, digest: str) -> Path:
        self.listing(digest)
        return self._path(digest)

    def listing(self, digest: str) -> Listing:
        path = self._path(digest)
        if not path.is_dir():
            raise Missing(f"{digest}: not in the store {self._root}; remove the work folder's steps/ to make it anew")
        try:
            listing = folder_listing(path)
            found = digest_json(listing)
        except ValueError as error:
            raise DigestMismatch(str(path), digest, str(error)) from None
        if found != digest:
            where = place(self._blocks(digest), path)
            raise DigestMismatch(f"{path}: {where}" if where else str(path), digest, found)
        return listing

    def uri(self, digest: str) -> str:
        return self._path(digest).as_uri()

    def _blocks(self, digest: str) -> Path:
        return self._root / "listings" / f"{digest.removeprefix('sha256:')}.json"

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise BadInput("digest", digest, "write sha256: and 64 lower-case hex digits")
        return self._root.absolute() / "sha256" / digest.removeprefix("sha256:")


@contextmanager
def _private(entries: Path) -> Iterator[Path]:
    """A folder that only this put uses, locked for as long as its process lives."""
    _sweep(entries)
    with tempfile.TemporaryDirectory(dir=entries, prefix=_PRIVATE) as folder, _opened(Path(folder)) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield Path(folder)


def _sweep(entries: Path) -> None:
    """Removes what puts have left that were killed: old, and locked by nobody."""
    for left in entries.glob(f"{_PRIVATE}*"):
        with suppress(FileNotFoundError, BlockingIOError), _opened(left) as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - os.fstat(handle).st_mtime > _OLD_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)


def _publish(copy: Path, target: Path, digest: str) -> None:
    if target.is_dir() and _digest(target) != digest:
        target.rename(copy.parent / "changed")
    try:
        copy.rename(target)
    except OSError:
        if not target.exists():  # else another put of the same bytes was faster
            raise


def _digest(path: Path) -> str:
    """The folder's digest, or what is wrong with it."""
    try:
        return digest_folder(path)
    except ValueError as error:
        return str(error)


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise BadInput("artifact", str(path.relative_to(source)), "an artifact holds plain files only")
        if path.is_dir():
            place.mkdir()
        else:
            shutil.copyfile(path, place)
            place.chmod(0o644)  # engines read as another user; safetensors are written 0600
    for made in (target, *(path for path in target.rglob("*") if path.is_dir())):
        made.chmod(0o755)  # also under a strict umask


def _sync(folder: Path) -> None:
    """On the disk before it has its name, so that a power cut leaves no entry with holes."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            _sync_folder(path)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    with _opened(folder) as handle:
        os.fsync(handle)
