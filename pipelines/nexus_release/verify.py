"""Recomputes whatever a release claims, and names what does not hold. Changes nothing."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from nexus_release.errors import BadInput, Missing
from nexus_release.frozen import Frozen
from nexus_release.ports import History, Registry, Repository, Signatures, Store
from nexus_release.proof import records
from nexus_release.proof.finding import Finding
from nexus_release.proof.registered import registered
from nexus_release.proof.signed import known_keys, signed
from nexus_release.proof.sources import Sources, code, packages
from nexus_release.proof.stored import stored
from nexus_release.proof.trees import pointers, tree
from nexus_release.record import Record
from nexus_release.sought import RECORDS, SHORTEST


class Verification(Frozen):
    commit: str
    """Main's, whose files were verified."""
    releases: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def lies(self) -> list[Finding]:
        return [one for one in self.findings if one.state == "lies"]


def verify(
    repository: Repository, store: Store, signatures: Signatures, prefix: str | None, registry: Registry | None
) -> Verification:
    """One release by the beginning of its id, or everything: then also each environment's rendered tree.

    Offline where the remote is on this machine; `registry` is asked only where one is given. Raises BadInput for the
    beginning of several ids, Missing for none.
    """
    with repository.history() as history, tempfile.TemporaryDirectory(prefix="nexus-main-") as folder:
        paths = chosen(history.paths("HEAD", RECORDS), prefix)
        environments = environments_of(history)
        commit = repository.checkout(Path(folder))
        known = known_keys(Path(folder), environments, signatures)
        findings = list(_releases(history, store, paths, registry))
        for record in _records(history, paths):
            findings += signed(record.content, store, signatures, known)
        releases = frozenset(PurePosixPath(path).stem for path in paths)
        for environment in environments:
            findings += pointers(history, environment, None if prefix is None else releases)
        for environment in environments if prefix is None else ():
            findings += tree(Path(folder), environment)
    return Verification(commit=commit, releases=tuple(sorted(releases)), findings=tuple(findings))


def chosen(paths: list[str], prefix: str | None) -> list[str]:
    """The record or records that are meant."""
    if prefix is None:
        return paths
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},64}}", prefix):
        raise BadInput("ID", prefix, f"give {SHORTEST} to 64 hex digits of a release id, as x-nexus-release shows it")
    found = [path for path in paths if PurePosixPath(path).stem.startswith(prefix)]
    if not found:
        raise Missing(f"{prefix}: main has no record of such a release; it has {len(paths)} records")
    if len(found) > 1:
        raise BadInput("ID", prefix, f"it begins {', '.join(PurePosixPath(path).stem for path in found)}; give more")
    return found


def lines(found: Verification) -> list[str]:
    """For people: what lies last, where the eye is."""
    order = {"holds": 0, "unproved": 1, "lies": 2}
    told = [
        f"{one.state:8}  {one.link:8}  {one.subject}{f'  {one.detail}' if one.detail else ''}"
        for one in sorted(found.findings, key=lambda one: order[one.state])
    ]
    count = {state: sum(one.state == state for one in found.findings) for state in order}
    summary = ", ".join(f"{number} {state}" for state, number in count.items() if number)
    return [*told, f"{len(found.releases)} releases of main {found.commit[:12]}: {summary or 'nothing to verify'}"]


def _releases(history: History, store: Store, paths: list[str], registry: Registry | None) -> Iterator[Finding]:
    sources = Sources(history)
    for path in paths:
        data = history.file("HEAD", path) or b""
        record, finding = records.read(path, PurePosixPath(path).stem, data)
        yield finding
        yield from records.unchanged(path, data, history)
        if record is None:
            continue
        yield from records.verdict(path, record.content)
        yield records.in_time(path, record)
        yield from stored(record.content, store)
        yield code(record, sources)
        yield packages(record)
        if registry is not None:
            yield registered(record, registry)


def _records(history: History, paths: list[str]) -> Iterator[Record]:
    """Those that can be read; what is wrong with the others is found by `_releases`."""
    for path in paths:
        record, _ = records.read(path, PurePosixPath(path).stem, history.file("HEAD", path) or b"")
        if record is not None:
            yield record


def environments_of(history: History) -> list[str]:
    """Sorted, as main has them."""
    found = (PurePosixPath(path).parts for path in history.paths("HEAD", "environments"))
    return sorted({parts[1] for parts in found if len(parts) == 3 and parts[2] == "settings.yaml"})
