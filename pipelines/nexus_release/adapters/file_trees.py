"""Folders of files as parts of a backup: MLflow's artifacts, and the store, of which only what is new is read."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nexus_release.backup.manifest import PartName, Saved
from nexus_release.backup.taking import Fetch
from nexus_release.backup.vault import Vault
from nexus_release.digests import Listing, digest_json
from nexus_release.errors import BadInput, DigestMismatch


class TreePart:
    """Every plain file below a folder, or those that `only` names."""

    def __init__(self, name: PartName, folder: Path, only: Sequence[str] = ()) -> None:
        self.name, self._folder, self._only = name, folder, only
        self.place = str(folder)

    def save(self, vault: Vault, before: Sequence[Saved], left_out: list[str]) -> Iterator[Saved]:
        self._there()
        for path in _files(self._folder):
            relative = path.relative_to(self._folder).as_posix()
            if not self._only or relative in self._only:
                yield from _kept(vault, path, relative)

    def occupied(self) -> str:
        there = sum(1 for _ in _files(self._folder))
        return f"{there} files are there" if there else ""

    @contextmanager
    def staged(self, files: Sequence[Saved], fetch: Fetch) -> Iterator[Callable[[], None]]:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".nexus-restoring-", dir=self._folder.parent) as made:
            whole = Path(made) / "whole"
            whole.mkdir()
            for saved in files:
                fetch(saved, whole / saved.path)
            self.proved(files)
            for path in (whole, *whole.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)  # engines read as another user

            def put() -> None:
                _clear(self._folder)
                whole.replace(self._folder)

            yield put

    def proved(self, files: Sequence[Saved]) -> None:
        """Whatever holds of the files together."""

    def _there(self) -> None:
        """Raises BadInput for a folder that is not, which would be saved as an empty one; files that are named may be
        missing."""
        if not self._only and not self._folder.is_dir():
            raise BadInput(self.name, self.place, "no such folder: name the one that is in use, or leave the part away")


class StorePart(TreePart):
    """The content-addressed store with its signatures. Entries never change, so that one which the last backup has is
    not read again: its digest says what it holds."""

    def __init__(self, root: Path) -> None:
        super().__init__("store", root)

    def save(self, vault: Vault, before: Sequence[Saved], left_out: list[str]) -> Iterator[Saved]:
        self._there()
        known = _entries(before)
        for entry in sorted((self._folder / "sha256").glob("*")):
            if entry.name.startswith("."):
                continue  # a put that is under way; nothing names it yet
            files = known.get(entry.name, [])
            if not files or not all(vault.has(file) for file in files):
                files = [
                    saved
                    for path in _files(entry)
                    for saved in _kept(vault, path, path.relative_to(self._folder).as_posix())
                ]
            if (found := digest_json(_listing(entry.name, files))) == f"sha256:{entry.name}":
                yield from files
            else:
                left_out.append(f"store: {entry} is not what its name says: it has {found}; see `nexus verify --all`")
        for folder in ("listings", "signatures"):
            for path in _files(self._folder / folder):
                if not path.name.startswith("."):
                    yield from _kept(vault, path, path.relative_to(self._folder).as_posix())

    def proved(self, files: Sequence[Saved]) -> None:
        """Raises DigestMismatch for an entry whose files are not those that its name stands for."""
        for name, entry in _entries(files).items():
            if (found := digest_json(_listing(name, entry))) != f"sha256:{name}":
                raise DigestMismatch(f"the backup's entry {name} of the store", f"sha256:{name}", found)


def _entries(files: Sequence[Saved]) -> dict[str, list[Saved]]:
    """Hex digest of an entry -> its files."""
    found: dict[str, list[Saved]] = {}
    for file in files:
        parts = file.path.split("/")
        if parts[0] == "sha256":
            found.setdefault(parts[1], []).append(file)
    return found


def _listing(entry: str, files: Sequence[Saved]) -> Listing:
    """As `digests.folder_listing` orders it: by path, part for part."""
    within = sorted((Path(file.path).relative_to(f"sha256/{entry}"), file) for file in files)
    return [[path.as_posix(), file.bytes, file.digest] for path, file in within]


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def _kept(vault: Vault, path: Path, relative: str) -> Iterator[Saved]:
    """Nothing for what has gone meanwhile: what MLflow deletes or renames into its place is told by its database."""
    try:
        yield vault.keep(path, relative)
    except FileNotFoundError:
        return


def _clear(folder: Path) -> None:
    """Of empty folders, which is all that may be there."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir()
    if folder.exists():
        folder.rmdir()
