"""Small proposals to a small repository, for tests of what happens on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from nexus_release.adapters.git import GitRepository
from nexus_release.ports import Commit, Landed

BRANCH = "admit/local/model/0123"
TRAILERS = {"Nexus-Release": "ab" * 32, "Nexus-Model": "acme/Model:8B"}


def start(root: Path) -> None:
    (root / "README.md").write_text("hello\n")
    (root / "tool").write_text("#!/bin/sh\n")
    (root / "tool").chmod(0o755)
    (root / "link").symlink_to("/nowhere/at/all")
    (root / ".gitignore").write_text("*.ignored\n")


def writing(path: str, text: str = "text\n", message: str = "Write", says: str | None = None) -> Commit:
    def edit(clone: Path) -> Sequence[str]:
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_text(text)
        return [says or path]

    return Commit(message, TRAILERS, edit)


def meanwhile(act: Callable[[], object], commit: Commit) -> Commit:
    """The same commit; `act` happens while it is being made."""

    def edit(clone: Path) -> Sequence[str]:
        act()
        return commit.edit(clone)

    return Commit(commit.message, commit.trailers, edit)


def anything(before: Path, after: Path) -> None:
    """The check that refuses nothing."""


def propose(repository: GitRepository, *commits: Commit, land: bool = True, branch: str = BRANCH) -> Landed:
    return repository.propose(branch, commits, check=anything, lands=lambda _: land)
