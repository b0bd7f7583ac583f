"""Routes by what people call them: a file or folder, or `COMMIT:PATH` of a Git repository, as `git show` has it."""

from __future__ import annotations

from pathlib import Path

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.decisions.commits import Commits
from nexus_gateway.snapshot import Snapshot, Source, load

_FIRST_BYTE = 10.0  # seconds; deadlines decide nothing here


def routes_named(name: str, repository: Path) -> Snapshot:
    """A path that is there is meant first. Raises ConfigRefused."""
    commit, colon, path = name.partition(":")
    if Path(name).exists() or not colon:
        return load(Source(Path(name), None, _FIRST_BYTE))
    if not commit or not path:
        raise ConfigRefused(f"{name}: write a file or folder, or COMMIT:PATH of {repository}")
    return Commits(repository, path).at(commit)
