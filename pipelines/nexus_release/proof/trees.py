"""An environment: do its plans point at these very records, and is its tree what they render?"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nexus_release.digests import digest_bytes
from nexus_release.errors import NexusError
from nexus_release.history import plans_at
from nexus_release.manifests.changes import changed_paths
from nexus_release.manifests.tree import tree_path
from nexus_release.plan import plan_path
from nexus_release.ports import History
from nexus_release.proof.finding import Finding, first_difference, holds, lies
from nexus_release.record import record_path
from nexus_release.renderer import render_with_own_code


def pointers(history: History, environment: str, releases: frozenset[str] | None) -> Iterator[Finding]:
    """Each pointer to one of `releases` (None is every one) names the digest of its record's file."""
    try:
        plans = plans_at(history, environment, "HEAD")
    except NexusError as error:
        yield lies("plan", f"environments/{environment}/models", str(error))
        return
    for plan in plans.values():
        path = plan_path(environment, plan.model)
        for pointer in plan.pointers:
            if releases is not None and pointer.release not in releases:
                continue
            data = history.file("HEAD", record_path(plan.model, pointer.release))
            found = "no file" if data is None else digest_bytes(data)
            if found == pointer.record:
                yield holds("plan", path, f"names the record of {pointer.release[:12]} by its digest")
            else:
                yield lies("plan", path, f"{pointer.release[:12]}: names record {pointer.record}, main has {found}")


def tree(main: Path, environment: str) -> Iterator[Finding]:
    """Renders the files of `main` anew by their own code, and compares byte for byte."""
    top = tree_path(environment)
    with tempfile.TemporaryDirectory(prefix="nexus-verify-") as folder:
        again = Path(folder) / "again"
        shutil.copytree(main, again, symlinks=True)
        try:
            render_with_own_code(again, environment)
        except NexusError as error:
            yield lies("tree", top, f"it cannot be rendered: {error}")
            return
        changed = changed_paths(main, again)
        for path in changed:
            yield lies("tree", path, _difference(again / path, main / path))
    if not changed:
        yield holds("tree", top, "byte for byte what its sources render")


def _difference(true: Path, found: Path) -> str:
    if not found.exists():
        return "it is missing"
    return first_difference(true.read_bytes(), found.read_bytes()) if true.exists() else "nothing renders it"
