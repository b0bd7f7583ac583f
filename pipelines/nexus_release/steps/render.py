"""Shows what a release would change in its environment, without changing it."""

from __future__ import annotations

import os
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from nexus_release.digests import Digest, HexId, digest_folder
from nexus_release.documents import validated
from nexus_release.errors import BadInput, DigestMismatch, Missing
from nexus_release.frozen import Frozen
from nexus_release.manifests.changes import changed_paths
from nexus_release.manifests.tree import tree_path
from nexus_release.names import EnvironmentName, ModelName
from nexus_release.proposals import admission, admission_branch, two_checkouts
from nexus_release.record import Record, parse_content, read_record, record_path, record_text
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
    with two_checkouts(tools.repository) as (base, before, after):
        record = _record(given, tools, before, base)
        for commit in admission(given.environment, given.model, given.release, record):
            commit.edit(after)
        return RenderOut(
            record=_kept(tools, record),
            tree=digest_folder(after / tree_path(given.environment)),
            changed=changed_paths(before, after),
        )


def _kept(tools: Tools, record: bytes) -> Digest:
    with tempfile.TemporaryDirectory(prefix="nexus-record-") as folder:
        Path(folder, "record.json").write_bytes(record)
        return tools.store.put(Path(folder)).digest


def _record(given: RenderIn, tools: Tools, main: Path, base: str) -> bytes:
    """The record's file: what main has of this release, or the proposal that waits for it, else a new one."""
    path = record_path(given.model, given.release)
    if (main / path).exists():
        return (main / path).read_bytes()
    return _waiting(given, tools, path) or _new(given, tools, base)


def _waiting(given: RenderIn, tools: Tools, path: str) -> bytes | None:
    """So that a release which is proposed again is the same proposal, though clock and machine are others."""
    with tempfile.TemporaryDirectory(prefix="nexus-waiting-") as folder:
        try:
            branch = admission_branch(given.environment, given.model, given.release)
            tools.repository.checkout(Path(folder), branch)
            read_record(Path(folder), given.model, given.release)
        except (Missing, BadInput, DigestMismatch):
            return None
        return (Path(folder) / path).read_bytes()


def _new(given: RenderIn, tools: Tools, base: str) -> bytes:
    content = parse_content(given.content)
    found = tools.registry.find(given.model, given.release)
    if found is None:
        raise Missing(f"{given.model}: the registry has no version of release {given.release}")
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    observed = {
        "registry_uri": found.uri,
        "run": found.run,
        "artifact_uri": tools.store.uri(content.artifact.digest),
        "commit": base,
        "dirty": tools.connections.dirty,
        "machine": machine,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    record = validated(Record, {"content": content, "observed": observed}, lambda _: "record")
    return record_text(record).encode()
