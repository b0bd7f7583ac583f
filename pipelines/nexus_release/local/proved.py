"""Proves releases before this machine starts an engine for them, as a PreSync Job does in a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nexus_release.errors import DigestMismatch
from nexus_release.local.desired import ENVIRONMENT, DesiredEngine
from nexus_release.ports import Signatures, Store
from nexus_release.record import read_record
from nexus_release.trust.signed import prove_accepted


def prove_engines(engines: Iterable[DesiredEngine], main: Path, store: Store, signatures: Signatures) -> None:
    """Closed: raises SignatureRefused, DigestMismatch or Missing for the first that nobody answers for whom the
    settings in `main` accept, or that would load other bytes than its record names."""
    for engine in engines:
        content = read_record(main, engine.model, engine.release).content
        if engine.artifact != content.artifact.digest:
            raise DigestMismatch(f"{engine.service}: storageUri", content.artifact.digest, engine.artifact)
        prove_accepted(content, main, ENVIRONMENT, store, signatures)
