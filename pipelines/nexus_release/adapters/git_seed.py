"""Plants the laptop's remote: the first time from the checkout, later by merging what the checkout has since.

The checkout is read and never written. What is merged is rendered anew by its own code and lands in one push.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nexus_release.adapters.git_calls import MAIN, GitError, git
from nexus_release.errors import BadInput, Conflict

MACHINE_OWNED = re.compile(r"gitops/(?!argocd/|components/|overlays/|platform/)[^/]+/.+|environments/[^/]+/models/.+")
"""What releases, promotions and the renderer write. In a conflict the remote's version stands, and elsewhere the
checkout's."""

_TRIES = 5
_THEIRS = "refs/heads/checkout"


@dataclass(frozen=True)
class Planted:
    commit: str
    what: Literal["pushed", "merged", "unchanged"]
    dirty: bool
    """True where the checkout has changes that are not committed, and so are not in the remote."""


def plant(remote: str, checkout: Path, render: Callable[[Path], None]) -> Planted:
    """`render` writes every environment's tree anew in the folder that it is given.

    Raises BadInput where the checkout is no Git repository with a commit, or the remote is no folder of this machine;
    Conflict where the two cannot be merged without a person.
    """
    if "://" in remote:
        raise BadInput("NEXUS_REMOTE", remote, "only a remote that is a folder on this machine is planted")
    bare, head, dirty = Path(remote).absolute(), _head(checkout), _dirty(checkout)
    before = _main(bare)
    if before is None:
        _create(bare, checkout, head)
    for _ in range(_TRIES):
        if _bring_up_to_date(bare, checkout, head, render):
            after = _main(bare) or head
            return Planted(after, "pushed" if before is None else "unchanged" if after == before else "merged", dirty)
    raise Conflict(f"main of {remote} moved {_TRIES} times while the checkout was merged; run it again")


def _head(checkout: Path) -> str:
    """The checkout's commit. A folder inside somebody's repository is not one."""
    try:
        if not git("rev-parse", "--show-prefix", cwd=checkout).strip():
            return git("rev-parse", "--verify", "--quiet", "HEAD^{commit}", cwd=checkout).strip()
    except GitError:
        pass
    mend = "releases are commits, so this must be a Git repository: run `git init && git add -A && git commit -m Start`"
    raise BadInput("checkout", str(checkout.absolute()), mend) from None


def _dirty(checkout: Path) -> bool:
    return bool(git("status", "--porcelain", cwd=checkout).strip())


def _main(bare: Path) -> str | None:
    """None where there is no repository yet. Raises BadInput where something else is in its place."""
    if not bare.exists():
        return None
    try:
        return git("--git-dir", str(bare), "rev-parse", "--verify", "--quiet", MAIN).strip()
    except GitError:
        raise BadInput("NEXUS_REMOTE", str(bare), "it is no Git repository with a branch main; move it away") from None


def _create(bare: Path, checkout: Path, head: str) -> None:
    """Whole or not at all: made beside its place and renamed."""
    bare.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bare.parent, prefix=".remote-") as folder:
        made = Path(folder) / "remote.git"
        git("init", "--quiet", "--bare", "--initial-branch=main", str(made))
        _push(checkout, made, f"{head}:{MAIN}")
        try:
            made.rename(bare)
        except OSError:
            if _main(bare) is None:  # nobody else has planted it meanwhile
                raise


def _bring_up_to_date(bare: Path, checkout: Path, head: str, render: Callable[[Path], None]) -> bool:
    """False where main has moved meanwhile."""
    with tempfile.TemporaryDirectory(prefix="nexus-merge-") as folder:
        clone = Path(folder) / "clone"
        git("clone", "--quiet", "--no-tags", "--branch=main", "--", str(bare), str(clone))
        _push(checkout, clone, f"{head}:{_THEIRS}")
        base = git("rev-parse", "HEAD", cwd=clone).strip()
        if _ancestor(clone, _THEIRS, "HEAD") and base != head:
            return True  # main holds it, and was rendered when it came in
        _merge(clone)
        render(clone)
        _commit(clone, "Render what the code gives")
        if git("rev-parse", "HEAD", cwd=clone).strip() == base:
            return True
        try:
            with _shallow_welcome(bare):
                git("push", "--quiet", "origin", f"HEAD:{MAIN}", cwd=clone)
        except GitError:
            if _main(bare) == base:
                raise
            return False
        return True


def _push(checkout: Path, repository: Path, refspec: str) -> None:
    """From the checkout, which a push only reads."""
    with _shallow_welcome(repository):
        git("push", "--quiet", "--no-verify", "--", str(repository), refspec, cwd=checkout)


@contextmanager
def _shallow_welcome(repository: Path) -> Iterator[None]:
    """Takes the commits of a checkout that was made with --depth, for one push: where it is left on, git's
    receive-pack crashes (2.39) when a branch is deleted or replaced later."""
    git("config", "receive.shallowUpdate", "true", cwd=repository)
    try:
        yield
    finally:
        git("config", "--unset", "receive.shallowUpdate", cwd=repository)


def _merge(clone: Path) -> None:
    """Leaves the merge committed, or nothing to do where main is the checkout's own past."""
    if _ancestor(clone, "HEAD", _THEIRS):
        git("merge", "--quiet", "--ff-only", _THEIRS, cwd=clone)
        return
    related = _bases(clone)
    options = ("--strategy-option=no-renames",) if related else ("--allow-unrelated-histories", "--strategy=ours")
    try:
        git("merge", "--quiet", "--no-ff", "--no-commit", *options, _THEIRS, cwd=clone)
    except GitError as error:
        _settle(clone, error)
    if not related:
        _take_theirs(clone)
    _commit(clone, "Merge the checkout")


def _settle(clone: Path, error: GitError) -> None:
    """Each file in conflict becomes one side's, whole."""
    unmerged = {line.split("\t", 1)[1] for line in git("ls-files", "--unmerged", "-z", cwd=clone).split("\0") if line}
    if not unmerged:
        raise Conflict(f"the checkout cannot be merged into the remote's main: {error}") from None
    for path in sorted(unmerged):
        side = "HEAD" if MACHINE_OWNED.fullmatch(path) else _THEIRS
        if git("ls-tree", "--name-only", "--full-tree", side, "--", path, cwd=clone):
            git("checkout", "--quiet", side, "--", path, cwd=clone)
        else:
            git("rm", "--quiet", "--force", "--", path, cwd=clone)


def _take_theirs(clone: Path) -> None:
    """For a checkout that shares no known past with main, as one cloned anew with --depth: its files, and main's
    plans and records. What is rendered follows from both."""
    git("read-tree", "--reset", "-u", _THEIRS, cwd=clone)
    listed = git("ls-tree", "-r", "--name-only", "-z", "--full-tree", "HEAD", cwd=clone).split("\0")
    owned = "\0".join(path for path in listed if MACHINE_OWNED.fullmatch(path))
    if owned:
        git("checkout", "--quiet", "HEAD", "--pathspec-from-file=-", "--pathspec-file-nul", cwd=clone, stdin=owned)


def _commit(clone: Path, message: str) -> None:
    """Where there is something to commit: a change, or a merge that is under way."""
    git("add", "--all", cwd=clone)
    if git("status", "--porcelain", cwd=clone).strip() or (clone / ".git" / "MERGE_HEAD").exists():
        git("commit", "--quiet", f"--message={message}", cwd=clone)


def _ancestor(clone: Path, older: str, newer: str) -> bool:
    return not git("rev-list", "--max-count=1", older, f"^{newer}", cwd=clone)


def _bases(clone: Path) -> bool:
    try:
        return bool(git("merge-base", "HEAD", _THEIRS, cwd=clone))
    except GitError:
        return False
