"""Who has signed a release, and whether the signatures hold over the bytes that are here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from nexus_release.digests import Digest
from nexus_release.errors import DigestMismatch, Missing, NexusError
from nexus_release.ports import Signatures, Store
from nexus_release.proof.finding import Finding, holds, lies, unproved
from nexus_release.record import Content
from nexus_release.trust.bundles import fault
from nexus_release.trust.keys import PublicKey
from nexus_release.trust.signed import accepted_keys
from nexus_release.trust.statement import statement_digest, statement_listing

Known = Mapping[str, PublicKey]
"""By fingerprint: every key that some environment accepts."""


def known_keys(main: Path, environments: Iterable[str], signatures: Signatures) -> Known:
    """An environment that cannot be read, or accepts nobody, names none."""
    found: dict[str, PublicKey] = {}
    for environment in environments:
        try:
            found |= {key.fingerprint: key for key in accepted_keys(main, environment, signatures) or ()}
        except NexusError:
            continue
    return found


def signed(content: Content, store: Store, signatures: Signatures, known: Known) -> Iterator[Finding]:
    for digest in (statement_digest(content), content.artifact.digest):
        yield from _entry(digest, store, signatures, known)


def answered(content: Content, keys: Sequence[PublicKey] | None, store: Store, signatures: Signatures) -> Finding:
    """Whether one of `keys` has signed what the release states of itself, which names every other byte of it by digest;
    None is that nobody need have. Neither artifact nor base is read."""
    digest = statement_digest(content)
    folder = f"signatures/{digest.removeprefix('sha256:')}"
    if keys is None:
        return holds("signature", folder, "the settings say that nothing is checked")
    kept, listing = signatures.of(digest), statement_listing(content)
    faults = {key: fault(listing, kept[key.fingerprint], key) for key in keys if key.fingerprint in kept}
    if by := next((key.name for key, why in faults.items() if not why), ""):
        return holds("signature", folder, f"by {by}")
    if faults:
        return lies("signature", folder, "; ".join(f"{key.name}: {why}" for key, why in faults.items()))
    try:
        store.listing(digest)
    except Missing:
        return unproved("signature", folder, "no store with this release is at hand")
    by = ", ".join(fingerprint[:12] for fingerprint in kept) or "nobody"
    return lies("signature", folder, f"signed by {by}, and by none of {', '.join(key.name for key in keys)}")


def _entry(digest: Digest, store: Store, signatures: Signatures, known: Known) -> Iterator[Finding]:
    """A key that nobody accepts any more is passed over where another one holds."""
    bundles, folder = signatures.of(digest), f"signatures/{digest.removeprefix('sha256:')}"
    try:
        listing = store.listing(digest)
    except Missing:
        yield unproved("signature", folder, "this store does not hold what is signed")
        return
    except DigestMismatch as error:
        yield lies("signature", folder, f"these are not the bytes that were signed: {error}")
        return
    found = []
    for fingerprint, bundle in bundles.items():
        if key := known.get(fingerprint):
            why = fault(listing, bundle, key)
            subject = f"{folder}/{fingerprint}.json"
            found.append(lies("signature", subject, why) if why else holds("signature", subject, f"by {key.name}"))
    if not found:
        by = ", ".join(fingerprint[:12] for fingerprint in bundles) or "nobody"
        found.append(unproved("signature", folder, f"signed by {by}, whom no environment of main accepts"))
    yield from found
