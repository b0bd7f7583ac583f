"""What is state, where it is named, as the parts of a backup."""

from __future__ import annotations

from pathlib import Path

from nexus_release.adapters.databases import database_part
from nexus_release.adapters.file_trees import StorePart, TreePart
from nexus_release.adapters.git_bundle import GitPart
from nexus_release.adapters.redis_keys import RedisPart
from nexus_release.adapters.signatures import PUBLIC
from nexus_release.backup.taking import Named, Part


def parts_of(named: Named, remote: str, work: Path) -> tuple[Part, ...]:
    """Raises BadInput for a database that is none that we know."""
    found: tuple[Part | None, ...] = (
        GitPart(remote) if named.git else None,
        database_part("mlflow", named.database) if named.database else None,
        TreePart("artifacts", named.artifacts) if named.artifacts else None,
        database_part("users", named.users) if named.users else None,
        RedisPart(named.redis) if named.redis else None,
        TreePart("signing", work / "signing", only=(PUBLIC,)) if named.store else None,
        StorePart(work / "store") if named.store else None,
    )
    return tuple(part for part in found if part is not None)
