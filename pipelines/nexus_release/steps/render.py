"""Shows what a release would change in its environment, without changing it."""

from __future__ import annotations

import os
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from nexus_release.digests import Digest, HexId, digest_folder
from nexus_release.errors import Missing
from nexus_release.frozen import Frozen
from nexus_release.manifests.changes import changed_paths
from nexus_release.manifests.tree import tree_path
from nexus_release.names import EnvironmentName, ModelName
from nexus_release.proposals import admission
from nexus_release.record import Observed, Record, parse_content, record_path, record_text
from nexus_release.wiring import Tools


class RenderIn(Frozen):
    environment: EnvironmentName
    model: ModelName
    release: HexId
    content: str
    version: int


class RenderOut(Frozen):
    record: Digest
    """Digest of the folder in the store that holds `record.json`, the file of the record."""
    tree: Digest
    """Digest of the environment's rendered tree with this release in it."""
    changed: tuple[str, ...]
    """Paths under the repository's root that the proposal touches, sorted."""


def render(given: RenderIn, tools: Tools) -> RenderOut:
    """Changes nothing but the store. Raises Missing where the registry does not know the release."""
    with tempfile.TemporaryDirectory(prefix="nexus-render-") as folder:
        before, after = Path(folder, "before"), Path(folder, "after")
        base = tools.repository.checkout(_made(before))
        tools.repository.checkout(_made(after), base)
        record = _record(given, tools, after, base)
        for commit in admission(given.environment, given.model, given.release, record):
            commit.edit(after)
        kept = Path(folder, "record")
        _made(kept).joinpath("record.json").write_bytes(record)
        return RenderOut(
            record=tools.store.put(kept).digest,
            tree=digest_folder(after / tree_path(given.environment)),
            changed=changed_paths(before, after),
        )


def _record(given: RenderIn, tools: Tools, root: Path, base: str) -> bytes:
    """The record's file: the one that main has of this release, else a new one."""
    standing = root / record_path(given.model, given.release)
    if standing.exists():
        return standing.read_bytes()
    content = parse_content(given.content)
    found = tools.registry.find(given.model, given.release)
    if found is None:
        raise Missing(f"{given.model}: the registry has no version of release {given.release}")
    observed = Observed(
        registry_uri=found.uri,
        run=found.run,
        artifact_uri=tools.store.uri(content.artifact.digest),
        commit=base,
        dirty=tools.connections.dirty,
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return record_text(Record(content=content, observed=observed)).encode()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
