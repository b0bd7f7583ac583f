"""Signs and verifies lists of files by key, in the format of `model-signing`: a Sigstore bundle over an in-toto
statement, which other tools verify too. Nothing is asked over a network: the key is the whole of the trust."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from nexus_release.digests import Listing
from nexus_release.errors import BadInput
from nexus_release.trust.keys import PublicKey, parse_public_key

MOST_BYTES = 16 << 20
"""Of a bundle: some 200 bytes a file."""


def sign_listing(listing: Listing, name: str, private_pem: bytes) -> bytes:
    """Raises BadInput for a key that does not sign."""
    from model_signing import signing

    with tempfile.TemporaryDirectory(prefix="nexus-sign-") as folder, _as_file(private_pem) as key:
        try:
            config = signing.Config().use_elliptic_key_signer(private_key=key)
        except (TypeError, ValueError, AttributeError) as error:
            raise _no_key(error) from None
        bundle = Path(folder, "bundle.json")
        config.set_hashing_config(_Hashed(listing, name)).sign(Path(name), bundle)
        return bundle.read_bytes()


def public_half(private_pem: bytes) -> PublicKey:
    """Raises BadInput."""
    from cryptography.hazmat.primitives import serialization

    try:
        public = serialization.load_pem_private_key(private_pem, None).public_key()
    except (TypeError, ValueError) as error:
        raise _no_key(error) from None
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return parse_public_key(pem.decode(), "NEXUS_SIGNING_KEY")


def new_private_key() -> bytes:
    """PEM of a fresh key on P-256, without a passphrase."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def fault(listing: Listing, bundle: bytes, key: PublicKey) -> str:
    """Why `bundle` is no signature by `key` over exactly these files; empty where it is one."""
    from model_signing import verifying

    if len(bundle) > MOST_BYTES:
        return f"it has {len(bundle)} bytes, of {MOST_BYTES} at most"
    with tempfile.TemporaryDirectory(prefix="nexus-verify-") as folder:
        signature, public = Path(folder, "bundle.json"), Path(folder, "key.pem")
        signature.write_bytes(bundle)
        public.write_text(key.pem, encoding="ascii")
        try:
            # A bundle of before 1.0 names no key; the library would print a warning and go on.
            if json.loads(bundle)["verificationMaterial"]["publicKey"]["hint"] != key.fingerprint:
                return "it names another key"
            config = verifying.Config().use_elliptic_key_verifier(public_key=public)
            config.set_hashing_config(_Hashed(listing, "")).verify(Path(folder), signature)
        except Exception as error:  # whatever a hostile bundle brings about, it is no signature
            return f"{type(error).__name__} {error}".strip()
    return ""


@dataclass(frozen=True)
class _Hashed:
    """Stands where model-signing would hash a folder itself.

    The files are hashed already, and each one counts: its own hashing passes over `.gitattributes` and the like, and
    over whatever a bundle tells it to ignore.
    """

    listing: Listing
    name: str

    def hash(self, model_path: object, *, files_to_hash: Iterable[object] | None = None) -> Any:
        from model_signing import manifest

        items = [
            manifest.FileManifestItem(
                path=PurePosixPath(str(path)),
                digest=manifest.hashing.Digest("sha256", bytes.fromhex(str(digest).removeprefix("sha256:"))),
            )
            for path, _, digest in self.listing
        ]
        how = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
        return manifest.Manifest(self.name, items, manifest.SerializationType.from_args(how))

    def add_ignored_paths(self, *, model_path: object, paths: Iterable[object]) -> None:
        """None is ignored, whatever a bundle says."""


@contextmanager
def _as_file(private_pem: bytes) -> Iterator[str]:
    """A path from which the key can be read once, without its being on a disk: the library takes paths only."""
    read, write = os.pipe()
    try:
        with os.fdopen(write, "wb") as end:
            end.write(private_pem[:_PIPE_BYTES])
        yield f"/dev/fd/{read}"
    finally:
        os.close(read)


_PIPE_BYTES = 16 << 10  # what a pipe holds anywhere before it waits for a reader; a key has 300


def _no_key(error: Exception) -> BadInput:
    return BadInput(
        "NEXUS_SIGNING_KEY",
        type(error).__name__,
        "give a private key on P-256, P-384 or P-521 as PEM, without a passphrase: "
        "openssl ecparam -name prime256v1 -genkey -noout -out KEY",
    )
