"""Signatures beside the store's entries: `<store>/signatures/<hex of the entry>/<fingerprint of the key>.json`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from nexus_release.journal import write_whole
from nexus_release.trust.bundles import MOST_BYTES
from nexus_release.trust.keys import PublicKey, read_public_key

PUBLIC = "key.pub.pem"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class FolderSignatures:
    """The port `Signatures`."""

    def __init__(self, store: Path, own: Path) -> None:
        """`own` is the folder of the key that this machine makes for itself."""
        self._root, self._own = store / "signatures", own

    def of(self, digest: str) -> Mapping[str, bytes]:
        found = sorted(self._folder(digest).glob("*.json"))
        return {path.stem: _beginning(path) for path in found if _FINGERPRINT.fullmatch(path.stem)}

    def keep(self, digest: str, fingerprint: str, bundle: bytes) -> None:
        write_whole(self._folder(digest) / f"{fingerprint}.json", bundle.decode())

    def own_key(self) -> PublicKey | None:
        return read_public_key(self._own, PUBLIC) if (self._own / PUBLIC).exists() else None

    def _folder(self, digest: str) -> Path:
        return self._root / digest.removeprefix("sha256:")


def _beginning(path: Path) -> bytes:
    """Enough to see that a file is too long, and no more."""
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)
