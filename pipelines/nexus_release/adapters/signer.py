"""The key that signs: the one that `NEXUS_SIGNING_KEY` gives, or one that this machine makes when it first signs."""

from __future__ import annotations

import os
import tempfile
from functools import cached_property
from pathlib import Path

from nexus_release.adapters.signatures import PUBLIC
from nexus_release.digests import Listing
from nexus_release.errors import BadInput
from nexus_release.journal import write_whole
from nexus_release.trust.bundles import new_private_key, public_half, sign_listing
from nexus_release.trust.keys import PublicKey

PRIVATE = "key.pem"


class KeySigner:
    """The port `Signer`."""

    def __init__(self, given: str, own: Path) -> None:
        """`given` is a path, the PEM text itself, or empty for this machine's own key in the folder `own`."""
        self._given, self._own = given, own

    @cached_property
    def key(self) -> PublicKey:
        return public_half(self._private)

    def sign(self, digest: str, listing: Listing) -> bytes:
        return sign_listing(listing, digest, self._private)

    @cached_property
    def _private(self) -> bytes:
        if not self._given:
            return _own_key(self._own)
        if self._given.startswith("-----BEGIN"):
            return self._given.encode()
        try:
            return Path(self._given).read_bytes()
        except OSError as error:
            raise BadInput("NEXUS_SIGNING_KEY", self._given, f"it cannot be read: {error.strerror}") from None


def _own_key(folder: Path) -> bytes:
    """Made but once, however many releases begin at the same moment. Readable by this user alone."""
    path = folder / PRIVATE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder)  # 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(new_private_key())
                file.flush()
                os.fsync(file.fileno())
            path.hardlink_to(temporary)
        except FileExistsError:
            pass  # another release was faster: its key is the key
        finally:
            Path(temporary).unlink()
    private = path.read_bytes()
    public = public_half(private).pem
    if not (folder / PUBLIC).exists() or (folder / PUBLIC).read_text() != public:
        write_whole(folder / PUBLIC, public)
    return private
