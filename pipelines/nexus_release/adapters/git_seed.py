"""Plants the laptop's remote: the first time from the checkout, later by merging what the checkout has since.

The checkout is read and never written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nexus_release.adapters.git import MAIN, GitError, git
from nexus_release.errors import BadInput, Conflict

MACHINE_OWNED = ("gitops/releases", "environments/*/models")
"""What only releases and promotions write; the remote's version is the true one. Rendered trees follow from it."""


@dataclass(frozen=True)
class Planted:
    commit: str
    what: Literal["pushed", "merged", "unchanged"]
    dirty: bool
    """True where the checkout has changes that are not committed, and so are not in the remote."""


def plant(remote: str, checkout: Path, render: Callable[[Path], None]) -> Planted:
    """`render` writes every environment's tree anew in the folder that it is given.

    Raises BadInput where the checkout is no Git repository with a commit, or the remote is no local path.
    """
    if "://" in remote:
        raise BadInput("NEXUS_REMOTE", remote, "only a remote that is a folder on this machine is planted")
    head = _head(checkout)
    dirty = bool(git("status", "--porcelain", cwd=checkout).strip())
    bare = Path(remote)
    if not (bare / "HEAD").exists():
        _create(bare, checkout, head)
        return Planted(_main(bare), "pushed", dirty)
    before = _main(bare)
    with tempfile.TemporaryDirectory(prefix="nexus-merge-") as folder:
        _merge(bare, checkout, Path(folder) / "clone", render)
    after = _main(bare)
    return Planted(after, "unchanged" if after == before else "merged", dirty)


def _head(checkout: Path) -> str:
    try:
        return git("rev-parse", "--verify", "HEAD^{commit}", cwd=checkout).strip()
    except GitError:
        mend = "releases are commits; run `git init && git add -A && git commit -m 'Start'` there first"
        raise BadInput("checkout", str(checkout), mend) from None


def _main(bare: Path) -> str:
    return git("rev-parse", MAIN, cwd=bare).strip()


def _create(bare: Path, checkout: Path, head: str) -> None:
    """Whole or not at all: made beside its place and renamed."""
    bare.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bare.parent, prefix=".remote-") as folder:
        made = Path(folder) / "remote.git"
        git("init", "--quiet", "--bare", "--initial-branch=main", str(made))
        git("config", "receive.shallowUpdate", "true", cwd=made)  # a checkout made with --depth is welcome
        git("push", "--quiet", str(made), f"{head}:{MAIN}", cwd=checkout)
        made.rename(bare)


def _merge(bare: Path, checkout: Path, clone: Path, render: Callable[[Path], None]) -> None:
    git("clone", "--quiet", "--branch", "main", "--", str(bare), str(clone))
    git("fetch", "--quiet", "--", str(checkout), "HEAD", cwd=clone)
    if git("rev-list", "--count", "HEAD..FETCH_HEAD", cwd=clone).strip() == "0":
        return
    base = git("rev-parse", "HEAD", cwd=clone).strip()
    try:
        git("merge", "--quiet", "--no-ff", "--no-commit", "--allow-unrelated-histories", "-X", "theirs", "FETCH_HEAD", cwd=clone)  # fmt: skip
    except GitError as error:
        _settle(clone, error)
    for path in _owned(clone, base):
        git("checkout", "--quiet", base, "--", path, cwd=clone)
    render(clone)
    git("add", "--all", cwd=clone)
    git("commit", "--quiet", "--message", "Merge the checkout into main", cwd=clone)
    git("push", "--quiet", "origin", f"HEAD:{MAIN}", cwd=clone)


def _settle(clone: Path, error: GitError) -> None:
    """What both sides changed and one removed: machine-owned paths are restored below, anything else is a person's."""
    left = set(filter(None, git("diff", "--name-only", "--diff-filter=U", "-z", cwd=clone).split("\0")))
    strays = sorted(path for path in left if not path.startswith(("gitops/", "environments/")))
    if strays or not left:
        raise Conflict(f"the checkout and the remote's main disagree about {', '.join(strays) or error}; merge by hand")


def _owned(clone: Path, commit: str) -> Iterator[str]:
    for pattern in MACHINE_OWNED:
        if git("ls-tree", "-r", "--name-only", commit, "--", *_spread(pattern, clone), cwd=clone):
            yield from _spread(pattern, clone)


def _spread(pattern: str, clone: Path) -> list[str]:
    return [path.relative_to(clone).as_posix() for path in clone.glob(pattern)] or [pattern]
