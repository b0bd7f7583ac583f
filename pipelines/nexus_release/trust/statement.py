"""What is signed of a release besides its artifact: its content, whose SHA-256 is the release id.

The statement is an entry of the store with one file. Its digest follows from the content alone, so that whoever has
the record knows where it is; and since content names artifact, bill of materials, data and verdict by digest, one
signature over it answers for all of them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from nexus_release.digests import Digest, Listing, digest_bytes, digest_json
from nexus_release.errors import DigestMismatch, Missing
from nexus_release.ports import Store
from nexus_release.record import Content, content_json, parse_content, release_id

FILE = "content.json"


def statement_listing(content: Content) -> Listing:
    """What a store lists of the statement: it follows from the content, so that no store need be at hand."""
    data = content_json(content)
    return [[FILE, len(data), digest_bytes(data)]]


def statement_digest(content: Content) -> Digest:
    return digest_json(statement_listing(content))


def put_statement(content: Content, store: Store) -> Digest:
    with tempfile.TemporaryDirectory(prefix="nexus-statement-") as folder:
        Path(folder, FILE).write_bytes(content_json(content))
        return store.put(Path(folder)).digest


def read_statement(digest: Digest, store: Store) -> Content:
    """Raises Missing or DigestMismatch; BadInput for an entry that is no statement."""
    folder = store.get(digest)
    if not (folder / FILE).is_file():
        raise Missing(f"{digest}: it states no release: it has no {FILE}")
    data = (folder / FILE).read_bytes()
    content = parse_content(data.decode())
    if (found := digest_bytes(data).removeprefix("sha256:")) != release_id(content):
        raise DigestMismatch(f"{digest}: {FILE}, which is not written as Nexus writes it", release_id(content), found)
    return content
