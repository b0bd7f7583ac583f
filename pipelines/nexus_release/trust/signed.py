"""Signs a release, and proves that a release is signed: every byte of it, by a key that is accepted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from nexus_release.config import load_settings
from nexus_release.digests import Digest, Listing
from nexus_release.errors import NexusError, SignatureRefused
from nexus_release.ports import Signatures, Signer, Store
from nexus_release.record import Content, release_id
from nexus_release.trust.bundles import fault
from nexus_release.trust.keys import PublicKey, read_public_key
from nexus_release.trust.statement import put_statement, statement_digest


def sign_release(content: Content, store: Store, signatures: Signatures, signer: Signer) -> Digest:
    """Signs statement and artifact; returns the statement's digest. A signature by the same key that stands is kept,
    so that a release that is signed again has the signatures that it had."""
    statement = put_statement(content, store)
    for digest in (statement, content.artifact.digest):
        listing = store.listing(digest)
        kept = signatures.of(digest).get(signer.key.fingerprint)
        if kept is None or fault(listing, kept, signer.key):
            bundle = signer.sign(digest, listing)
            if unsigned := fault(listing, bundle, signer.key):
                raise NexusError(f"{digest}: the signature just made does not verify: {unsigned}")
            signatures.keep(digest, signer.key.fingerprint, bundle)
    return statement


def prove_signed(content: Content, store: Store, signatures: Signatures, keys: Collection[PublicKey]) -> PublicKey:
    """Hashes every byte of statement, artifact and bill of materials, and returns the key that answers for them.

    Raises SignatureRefused, or DigestMismatch or Missing where the bytes are others or are not there.
    """
    store.get(content.bill_of_materials)
    digests = (statement_digest(content), content.artifact.digest)
    listings = {digest: store.listing(digest) for digest in digests}
    told = []
    for key in keys:
        faults = [
            f"{digest}: {unsigned}"
            for digest, listing in listings.items()
            if (unsigned := _fault_of_kept(listing, signatures.of(digest).get(key.fingerprint), key))
        ]
        if not faults:
            return key
        told += [f"{key.name} ({key.fingerprint[:12]}): {one}" for one in faults]
    raise SignatureRefused(_refusal(content, told, signatures.of(digests[0])))


def accepted_keys(main: Path, environment: str, signatures: Signatures) -> Sequence[PublicKey] | None:
    """The keys that an environment accepts by the files of `main`; None where it says that nothing is checked.

    Raises SignatureRefused where it accepts none, Missing or BadInput for a key that cannot be read.
    """
    settings = load_settings(main, environment).signatures
    if settings.accept == "unchecked":
        return None
    if settings.accept == "own":
        own = signatures.own_key()
        if own is None:
            raise SignatureRefused(f"{environment} accepts this machine's own key, and it has none; release from here")
        return [own]
    if not settings.keys:
        raise SignatureRefused(
            f"{environment} trusts no key, so nothing can be released there: name its public keys in signatures.keys"
        )
    return [read_public_key(main / "environments", path) for path in settings.keys]


def prove_accepted(content: Content, main: Path, environment: str, store: Store, signatures: Signatures) -> None:
    """As `prove_signed`, by the keys of an environment. Where it checks none, the bytes are proved all the same."""
    keys = accepted_keys(main, environment, signatures)
    if keys is not None:
        prove_signed(content, store, signatures, keys)
        return
    for digest in (content.bill_of_materials, content.artifact.digest):
        store.get(digest)


def _fault_of_kept(listing: Listing, bundle: bytes | None, key: PublicKey) -> str:
    return "not signed by it" if bundle is None else fault(listing, bundle, key)


def _refusal(content: Content, told: Sequence[str], signed: Collection[str]) -> str:
    by = ", ".join(fingerprint[:12] for fingerprint in signed) or "nobody"
    return f"release {release_id(content)[:12]} of {content.model} is signed by {by}: {'; '.join(told)}"
