"""Takes a backup, and puts one back. Which parts there are, `wiring.py` says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from nexus_release.backup.manifest import PARTS, Manifest, PartCopy, PartName, Saved
from nexus_release.backup.vault import Vault
from nexus_release.errors import BadInput, DigestMismatch, Missing

Keep = Callable[[Path, str], Saved]
"""(a file, its path within the part) -> what of it is in the backup."""
Fetch = Callable[[Saved, Path], None]
"""Writes a file of the backup, proved by its digest. Raises DigestMismatch or Missing."""


@dataclass(frozen=True)
class Named:
    """Where state is that a backup is about; empty, None or False leaves it away."""

    database: str = ""
    """Of MLflow, by SQLAlchemy's URI."""
    artifacts: Path | None = None
    """Of MLflow: their folder."""
    users: str = ""
    """Of MLflow's passwords: another database."""
    redis: str = ""
    git: bool = True
    store: bool = True


class Part(Protocol):
    """One kind of state, and its place."""

    @property
    def name(self) -> PartName: ...

    @property
    def place(self) -> str:
        """For people, without credentials."""

    def save(self, vault: Vault, before: Sequence[Saved], left_out: list[str]) -> Iterator[Saved]:
        """A copy of one moment, while others write. `before` is what the last backup has of it. What is not what its
        digest says is told in `left_out` and not saved."""

    def occupied(self) -> str:
        """What is there already; empty where a restore destroys nothing."""

    def staged(self, files: Sequence[Saved], fetch: Fetch) -> AbstractContextManager[Callable[[], None]]:
        """Everything fetched and proved beside its place; what is given back then puts it there, whole or not at all.
        Whatever is left beside it goes with the block."""


def back_up(
    vault: Vault, parts: Sequence[Part], *, most: int | None, whole: bool, tell: Callable[[str], None]
) -> Manifest:
    """`most`: how many backups stay, this one too; None keeps all. `whole` reads again what the last backup has. Raises
    what a part raises, and then there is no backup."""
    with vault.alone():
        before = _newest(vault)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        if before is not None and before.stamp >= stamp:
            raise BadInput("backup", stamp, f"there is one of {before.stamp}; mend the clock")
        left_out: list[str] = []
        copies = []
        for part in sorted(parts, key=lambda part: PARTS.index(part.name)):
            copies.append(_saved(vault, part, None if whole else before, left_out))
            tell(f"{part.name:9}  {copies[-1].bytes:>14,} bytes  {copies[-1].seconds:>8} s  {part.place}")
        manifest = Manifest(stamp=stamp, parts=tuple(copies), left_out=tuple(left_out))
        vault.seal(manifest)
        for dropped in vault.forget(most) if most is not None else ():
            tell(f"dropped {dropped}")
    return manifest


def put_back(
    vault: Vault, parts: Sequence[Part], stamp: str, tell: Callable[[str], None], *, dry: bool = False
) -> Manifest:
    """Into empty places only; `dry` proves all and puts nothing back. Every byte is proved before the first place is
    touched. Raises BadInput for a place that is not empty or a part that the backup lacks, Missing or DigestMismatch
    for a backup that is not whole."""
    manifest = vault.read(stamp)
    ordered = sorted(parts, key=lambda part: PARTS.index(part.name), reverse=True)
    for part in ordered:
        if manifest.part(part.name) is None:
            raise BadInput(part.name, manifest.stamp, "that backup has no such part; leave it away, or take another")
        if there := part.occupied():
            raise BadInput(part.name, part.place, f"{there}; nothing is overwritten: give an empty place")
    with ExitStack() as stack:
        publish = []
        for part in ordered:
            started = time.monotonic()
            publish.append((part, stack.enter_context(part.staged(_files(manifest, part), vault.fetch))))
            tell(f"{part.name:9}  proved in {time.monotonic() - started:.1f} s")
        for part, put in () if dry else publish:
            started = time.monotonic()
            put()
            tell(f"{part.name:9}  restored in {time.monotonic() - started:.1f} s  {part.place}")
    return manifest


def _newest(vault: Vault) -> Manifest | None:
    """None also where it cannot be read: then all is read anew, and the next restore says what is wrong with it."""
    try:
        return vault.read()
    except (Missing, DigestMismatch):
        return None


def _saved(vault: Vault, part: Part, before: Manifest | None, left_out: list[str]) -> PartCopy:
    last = before.part(part.name) if before else None
    moment, started = datetime.now(UTC), time.monotonic()
    files = tuple(sorted(part.save(vault, last.files if last else (), left_out), key=lambda file: file.path))
    return PartCopy(
        name=part.name,
        started=moment.isoformat(timespec="milliseconds"),
        seconds=f"{time.monotonic() - started:.2f}",
        files=files,
    )


def _files(manifest: Manifest, part: Part) -> Sequence[Saved]:
    found = manifest.part(part.name)
    return found.files if found else ()
