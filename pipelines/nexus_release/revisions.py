"""The revision of a set of route files: what the gateway answers as `x-nexus-revision`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def routes_revision(files: Mapping[str, bytes]) -> str:
    """SHA-256 in hex over, for each file sorted by name: its name in UTF-8, NUL, its length in decimal, NUL, its bytes.

    `files` maps base names (`<model>.yaml`) to contents. The gateway computes the same from what it has loaded.
    """
    hasher = hashlib.sha256()
    for name in sorted(files):
        hasher.update(b"%s\0%d\0" % (name.encode(), len(files[name])))
        hasher.update(files[name])
    return hasher.hexdigest()
