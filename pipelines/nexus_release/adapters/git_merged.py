"""A branch merged into main in a clone that is gone afterwards. The checkout is read and never written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nexus_release.adapters.git_calls import GitError, git, written
from nexus_release.adapters.git_history import open_history
from nexus_release.errors import BadInput, Conflict
from nexus_release.ports import History
from nexus_release.promotion.pull import Pull


@contextmanager
def merged(checkout: Path, base: str, head: str) -> Iterator[Pull]:
    """`base` and `head` are names that the checkout knows. Raises BadInput, or Conflict where the two do not merge."""
    if _cut_short(checkout):
        raise BadInput("checkout", str(checkout), "fetch the whole history: fetch-depth: 0, GIT_DEPTH: 0")
    into, tip = (_commit(checkout, name, value) for name, value in (("--base", base), ("--head", head)))
    with tempfile.TemporaryDirectory(prefix="nexus-pull-") as folder:
        clone, before, after = (Path(folder, name) for name in ("clone", "before", "after"))
        git("clone", "--quiet", "--no-checkout", "--shared", "--", str(checkout.absolute()), str(clone))
        tree = _tree(clone, into, tip)
        for place, commit in ((before, into), (after, tree)):
            place.mkdir()
            written(clone, commit, place)

        @contextmanager
        def history(commit: str) -> Iterator[History]:
            git("update-ref", "--no-deref", "HEAD", commit, cwd=clone)
            with open_history(clone) as found:
                yield found

        yield Pull(before, after, into, tip, _modes(clone, into, tree), history)


def _cut_short(checkout: Path) -> bool:
    """One without a remote has all that there is, though it may have been planted from a checkout of depth one."""
    try:
        shallow = git("rev-parse", "--is-shallow-repository", cwd=checkout).strip() == "true"
    except GitError:
        raise BadInput("--root", str(checkout), "no Git checkout; run this in one, with its whole history") from None
    return shallow and bool(git("remote", cwd=checkout).strip())


def _commit(checkout: Path, name: str, value: str) -> str:
    try:
        words = ("--verify", "--quiet", "--end-of-options", f"{value}^{{commit}}")
        return git("rev-parse", *words, cwd=checkout).strip()
    except GitError:
        raise BadInput(name, value, "the checkout knows no such commit: fetch it first") from None


def _tree(clone: Path, base: str, head: str) -> str:
    try:
        return git("merge-tree", "--write-tree", "--no-messages", base, head, cwd=clone).split()[0]
    except GitError as error:
        raise Conflict(f"the branch does not merge into main; make the change anew on main ({error})") from None


def _modes(clone: Path, base: str, tree: str) -> Mapping[str, str]:
    """Of `git diff-tree --raw -z`: `:<mode> <mode> <hash> <hash> <status>`, NUL, path, NUL, and so on."""
    parts = git("diff-tree", "-r", "--raw", "--no-renames", "-z", base, tree, cwd=clone).split("\0")
    return {path: raw.split()[1] for raw, path in zip(parts[::2], parts[1::2], strict=False) if raw}
