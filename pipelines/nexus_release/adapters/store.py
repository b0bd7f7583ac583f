"""The content-addressed store as a folder: `<root>/sha256/<hex>/`."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from nexus_release.digests import digest_folder, folder_listing
from nexus_release.errors import BadInput, DigestMismatch, Missing
from nexus_release.frozen import Artifact


class FolderStore:
    """The port `Store`. Entries appear whole, by a rename; what a crash leaves is a hidden folder that nobody reads."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, folder: Path) -> Artifact:
        """Raises BadInput for a link or anything else that is no plain file."""
        entries = self._root / "sha256"
        entries.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=entries, prefix=".put-") as temporary:
            copy = Path(temporary) / "entry"
            _copy(folder, copy)
            listing = folder_listing(copy)
            digest = digest_folder(copy)
            target = self._path(digest)
            if not target.exists():
                _sync(copy)
                try:
                    copy.rename(target)
                except OSError:
                    if not target.exists():  # else another put of the same bytes was faster
                        raise
        return Artifact(digest=digest, bytes=sum(int(size) for _, size, _ in listing), files=len(listing))

    def get(self, digest: str) -> Path:
        path = self._path(digest)
        if not path.is_dir():
            raise Missing(f"{digest}: not in the store {self._root}; remove the work folder's steps/ to make it anew")
        try:
            found = digest_folder(path)
        except ValueError as error:
            found = str(error)
        if found != digest:
            raise DigestMismatch(str(path), digest, found)
        return path

    def uri(self, digest: str) -> str:
        return self._path(digest).as_uri()

    def _path(self, digest: str) -> Path:
        return self._root.absolute() / "sha256" / digest.removeprefix("sha256:")


def _copy(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise BadInput("artifact", str(path.relative_to(source)), "an artifact holds plain files only")
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
            place.chmod(0o644)  # engines read as another user; safetensors are written 0600
    target.mkdir(exist_ok=True)


def _sync(folder: Path) -> None:
    """On the disk before it has its name, so that a power cut leaves no entry with holes."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
