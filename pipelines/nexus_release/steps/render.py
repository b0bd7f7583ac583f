"""Shows what a release would change in its environment, without changing it."""

from __future__ import annotations

from nexus_release.digests import Digest, HexId
from nexus_release.frozen import Frozen
from nexus_release.names import EnvironmentName, ModelName
from nexus_release.wiring import Tools


class RenderIn(Frozen):
    environment: EnvironmentName
    model: ModelName
    release: HexId
    content: str
    version: int


class RenderOut(Frozen):
    record: Digest
    """Digest of the record file `gitops/releases/<model>/<id>.json`, which is kept in the store."""
    tree: Digest
    """Digest of the environment's rendered tree with this release in it."""
    changed: tuple[str, ...]
    """Paths under the repository's root that the proposal touches, sorted."""


def render(given: RenderIn, tools: Tools) -> RenderOut:
    raise NotImplementedError
