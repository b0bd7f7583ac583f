"""Shows what a release would change in its environment, without changing it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from nexus_release.digests import Digest, HexId, digest_folder
from nexus_release.frozen import Frozen
from nexus_release.manifests.changes import changed_paths
from nexus_release.manifests.diff import tree_diff
from nexus_release.manifests.tree import tree_path
from nexus_release.names import EnvironmentName, ModelName
from nexus_release.proposals import admission, two_checkouts
from nexus_release.record import parse_content
from nexus_release.recording import record_file
from nexus_release.trust.signed import prove_accepted
from nexus_release.wiring import Tools

DIFF = "tree.diff"


class RenderIn(Frozen):
    environment: EnvironmentName
    model: ModelName
    release: HexId
    content: str
    statement: Digest
    """What `sign` has signed. Nothing is rendered that nobody answers for."""


class RenderOut(Frozen):
    tree: Digest
    """Digest of the environment's rendered tree with this release in it."""
    changed: tuple[str, ...]
    """Paths under the repository's root that the proposal touches, sorted."""
    diff: Digest
    """Digest of the folder in the store that holds `tree.diff`: what the proposal changes in the rendered tree."""


def render(given: RenderIn, tools: Tools) -> RenderOut:
    """Changes nothing but the store. Raises Missing where the registry does not know the release; SignatureRefused,
    DigestMismatch or Missing where nobody whom the environment trusts has signed just these bytes."""
    with two_checkouts(tools.repository) as (base, before, after):
        record = record_file(given.content, given.environment, tools, before, base)
        tools.store.get(given.statement)
        prove_accepted(parse_content(given.content), before, given.environment, tools.store, tools.signatures)
        for commit in admission(given.environment, given.model, given.release, record):
            commit.edit(after)
        changed = changed_paths(before, after)
        return RenderOut(
            tree=digest_folder(after / tree_path(given.environment)),
            changed=changed,
            diff=_kept(tools, tree_diff(before, after, given.environment, changed)),
        )


def _kept(tools: Tools, diff: str) -> Digest:
    with tempfile.TemporaryDirectory(prefix="nexus-diff-") as folder:
        Path(folder, DIFF).write_text(diff, encoding="utf-8")
        return tools.store.put(Path(folder)).digest
