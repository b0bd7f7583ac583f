"""The file of a release's record: what stands already, or what happened this time."""

from __future__ import annotations

import os
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from nexus_release.documents import validated
from nexus_release.errors import BadInput, DigestMismatch, Missing
from nexus_release.proposals import admission_branch
from nexus_release.record import Content, Record, parse_content, read_record, record_path, record_text, release_id
from nexus_release.wiring import Tools


def record_file(text: str, environment: str, tools: Tools, main: Path, base: str) -> bytes:
    """What main has of the release whose content is `text`, or the proposal that waits for it, else a new record.

    `main` holds main's files at the commit `base`. Raises Missing where the registry does not know the release.
    """
    content = parse_content(text)
    path = record_path(content.model, release_id(content))
    if (main / path).exists():
        return (main / path).read_bytes()
    return _waiting(content, environment, tools) or _new(content, tools, base)


def _waiting(content: Content, environment: str, tools: Tools) -> bytes | None:
    """So that a release which is proposed again is the same proposal, though clock and machine are others."""
    model, release = content.model, release_id(content)
    with tempfile.TemporaryDirectory(prefix="nexus-waiting-") as folder:
        try:
            tools.repository.checkout(Path(folder), admission_branch(environment, model, release))
            read_record(Path(folder), model, release)
        except (Missing, BadInput, DigestMismatch):
            return None
        return (Path(folder) / record_path(model, release)).read_bytes()


def _new(content: Content, tools: Tools, base: str) -> bytes:
    release = release_id(content)
    found = tools.registry.find(content.model, release)
    if found is None:
        raise Missing(f"{content.model}: the registry has no version of release {release}")
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    observed = {
        "registry_uri": found.uri,
        "run": found.run,
        "logged_model": found.logged_model,
        "artifact_uri": tools.store.uri(content.artifact.digest),
        "commit": base,
        "dirty": tools.connections.dirty,
        "machine": machine,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    record = validated(Record, {"content": content, "observed": observed}, lambda _: "record")
    return record_text(record).encode()
