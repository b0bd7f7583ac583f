"""Puts the company's name to a release: signs its content and its artifact by key.

The one step that sees the signing key. It reads no model but by its bytes, and no row.
"""

from __future__ import annotations

from nexus_release.digests import Digest
from nexus_release.errors import BadInput
from nexus_release.frozen import Frozen
from nexus_release.record import parse_content, release_id
from nexus_release.trust.signed import sign_release
from nexus_release.wiring import Tools


class SignIn(Frozen):
    content: str
    """The record's content as canonical JSON, which the registry has too."""


class SignOut(Frozen):
    statement: Digest
    """The entry in the store that is signed for the release. The signatures lie beside it: a signature is never the
    same twice, an output always is."""


def sign(given: SignIn, tools: Tools) -> SignOut:
    """Idempotent by key. Raises BadInput for a key that does not sign, and for what a gate has refused."""
    content = parse_content(given.content)
    if not content.accepted:
        raise BadInput("content", release_id(content), "a gate has refused it, and nobody signs what was refused")
    statement = sign_release(content, tools.store, tools.signatures, tools.signer)
    tools.notes.update(signed_by=tools.signer.key.fingerprint)
    return SignOut(statement=statement)
