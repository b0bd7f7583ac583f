"""What one backup holds. It is written last: without it there is no backup, only files that nobody names."""

from __future__ import annotations

import re
from typing import Literal

from nexus_release.digests import Digest, digest_bytes
from nexus_release.errors import DigestMismatch
from nexus_release.frozen import Frozen

SCHEMA = 1
PARTS = ("git", "mlflow", "artifacts", "users", "redis", "signing", "store")
"""In the order in which they are saved: what refers to others before what it refers to. A release is made the other way
round (store, registry, Git), so that whatever a commit names was there before the commit, and is saved after it. What
is saved and not named by anything yet is a release on its way; it does no harm."""

PartName = Literal["git", "mlflow", "artifacts", "users", "redis", "signing", "store"]
_FILE = re.compile(r"(\d{8}T\d{6}\.\d{6}Z)-([0-9a-f]{64})\.json")


class Saved(Frozen):
    """One file of a part."""

    path: str
    """Within the part, with `/`."""
    bytes: int
    digest: Digest


class PartCopy(Frozen):
    name: PartName
    started: str
    """UTC, RFC 3339: no write before this moment is missing."""
    seconds: str
    """That saving it took, as a decimal."""
    files: tuple[Saved, ...]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


class Manifest(Frozen):
    schema_version: Literal[1] = 1
    stamp: str
    """UTC when it began: `20260131T235959.000000Z`. Names it."""
    parts: tuple[PartCopy, ...]
    left_out: tuple[str, ...] = ()
    """What was found not to be what its digest says, and so was not saved, a sentence each."""

    def part(self, name: PartName) -> PartCopy | None:
        return next((part for part in self.parts if part.name == name), None)


def manifest_file(manifest: Manifest) -> tuple[str, str]:
    """(file name, text). The name carries the text's digest, so that a changed byte shows."""
    text = manifest.model_dump_json(indent=1) + "\n"
    return f"{manifest.stamp}-{digest_bytes(text.encode()).removeprefix('sha256:')}.json", text


def read_manifest(name: str, data: bytes) -> Manifest:
    """Raises DigestMismatch."""
    found = _FILE.fullmatch(name)
    digest = digest_bytes(data)
    if found is None or digest != f"sha256:{found[2]}":
        raise DigestMismatch(f"the backup's manifest {name}", f"sha256:{found[2]}" if found else "a digest", digest)
    return Manifest.model_validate_json(data)


def stamp_of(name: str) -> str:
    """Empty where it is no manifest's name."""
    found = _FILE.fullmatch(name)
    return found[1] if found else ""
