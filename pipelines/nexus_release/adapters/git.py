"""The Git remote. Everything happens in temporary clones, and nothing is ever forced.

Failure policy: what the remote refuses is not tried again (RemoteRefused); what does not answer is, by the step's own
retries (Unreachable); a race is lost by redoing the work on the new main, a bounded number of times (Conflict). Whether
main has moved is read from the remote and never believed of a push: one that was accepted before the connection died
is seen as done, and a remote that says yes and does nothing is found out.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from nexus_release.adapters.git_calls import EMAIL, MAIN, SECONDS, GitError, git, shown, written
from nexus_release.adapters.git_history import open_history
from nexus_release.errors import BadInput, Conflict, Missing, NexusError, RemoteRefused, Unreachable
from nexus_release.ports import Commit, History, Landed
from nexus_release.terminal import plain_line

TRIES = 5
"""Times that a proposal is made anew because somebody else was faster."""


class GitRepository:
    """The port `Repository` on a path or URL."""

    def __init__(self, remote: str, seconds: float = SECONDS, push: str | None = "") -> None:
        """`push`: the remote as it may be pushed to, where that is another address or credential; None: it may not."""
        self._remote, self._seconds = remote, seconds
        self._push_remote = push if push is None else push or remote
        self._name = without_credentials(remote)

    def head(self) -> str:
        found = self._ref(MAIN)
        if found is None:
            raise Missing(f"{self._name}: no branch main")
        return found

    def checkout(self, into: Path, revision: str = "main") -> str:
        is_commit = _COMMIT.fullmatch(revision)
        with self._clone("main" if is_commit else revision) as clone:
            commit = self._found(clone, revision) if is_commit else _hash(clone, "HEAD")
            written(clone, commit, into)
        return commit

    def departed(self, revision: str) -> str:
        with self._clone(whole=True) as clone:
            if _COMMIT.fullmatch(revision):
                tip = self._found(clone, revision)
            else:
                self._call("fetch", "--quiet", "origin", f"refs/heads/{revision}", cwd=clone)
                tip = _hash(clone, "FETCH_HEAD")
            return git("merge-base", "HEAD", tip, cwd=clone).strip()

    def propose(
        self,
        branch: str,
        commits: Sequence[Commit],
        *,
        check: Callable[[Path, Path], None],
        lands: Callable[[Path], bool],
    ) -> Landed:
        for _ in range(TRIES):
            with self._clone() as clone, tempfile.TemporaryDirectory(prefix="nexus-before-") as before:
                written(clone, "HEAD", Path(before))
                land = lands(Path(before))
                made = tuple(made for commit in commits if (made := committed(clone, commit)))
                if not made:
                    self._tidy(clone, branch, land)
                    return Landed(branch, (), landed=True)
                check(Path(before), clone)
                standing = self._put_branch(clone, branch, made)
                if standing and not land:
                    return Landed(branch, standing, landed=False)
                if standing and self._move_main(clone, branch, standing[-1], made[-1]):
                    return Landed(branch, made, landed=True)
        raise Conflict(f"{self._name}: others were faster {TRIES} times while {branch} was proposed; run it again")

    @contextmanager
    def history(self) -> Iterator[History]:
        with self._clone(whole=True) as clone, open_history(clone) as history:
            yield history

    def _put_branch(self, clone: Path, branch: str, made: tuple[str, ...]) -> tuple[str, ...]:
        """The commits that the remote's branch then holds; empty where another proposal has just taken the name, or
        given it up.

        A proposal has one branch, named for what it proposes. One that already proposes the same bytes stands as it
        is. One that Nexus has left with other bytes, since main was another then, is removed and made anew. One on
        which somebody else has committed is theirs (Conflict).
        """
        ref = f"refs/heads/{branch}"
        found = self._ref(ref)
        if found:
            depth = len(made) + 1  # with the commit below: made in the same second, these may be the very same commits
            try:
                self._call("fetch", "--quiet", f"--depth={depth}", "origin", ref, cwd=clone)
            except Missing:  # whoever proposes the same has just landed it, and taken the branch away
                return ()
            if not _ours(clone, found):
                raise Conflict(f"{branch} of {self._name} carries a commit of somebody else; merge or delete it first")
            if not git("diff", "--name-only", found, "HEAD", "--", *_changed(clone), cwd=clone):
                return tuple(git("rev-list", "--reverse", f"--max-count={len(made)}", found, cwd=clone).split())
        try:
            if found:
                self._drop_branch(clone, branch, found)
            self._push(clone, f"{made[-1]}:{ref}")
        except RemoteRefused:
            if self._ref(ref) == found and self._ref(MAIN) == _hash(clone, "origin/main"):
                raise  # by the remote's own rules: nobody else has done anything meanwhile
            return ()
        return made

    def _move_main(self, clone: Path, branch: str, tip: str, commit: str) -> bool:
        """False where somebody else has moved main meanwhile: an ordinary push is a compare-and-set.

        The branch, at `tip`, goes when main holds `commit` and when the remote will not have it there. Raises
        RemoteRefused or Unreachable.
        """
        refusal: NexusError = RemoteRefused(f"{self._name} took the push to main and did not move it")
        base = _hash(clone, "origin/main")
        try:
            self._push(clone, f"{commit}:{MAIN}")
        except (RemoteRefused, Unreachable) as error:
            refusal = error
        self._call("fetch", "--quiet", "origin", f"+{MAIN}:refs/remotes/origin/main", cwd=clone)
        landed = not git("rev-list", "--max-count=1", commit, "^origin/main", cwd=clone)
        moved = _hash(clone, "origin/main") != base or bool(_LOCKED.search(str(refusal)))
        if landed or not moved:
            with suppress(NexusError):  # what stays behind is taken up by the next proposal of this name
                self._drop_branch(clone, branch, tip)
        if not landed and not moved:
            raise refusal
        return landed

    def _tidy(self, clone: Path, branch: str, land: bool) -> None:
        """Removes what a run left that ended between main and its branch: main says all that it proposed."""
        ref = f"refs/heads/{branch}"
        if land and (found := self._ref(ref)):
            with suppress(NexusError):
                self._call("fetch", "--quiet", "--depth=1", "origin", ref, cwd=clone)
                if _ours(clone, found):
                    self._drop_branch(clone, branch, found)

    def _drop_branch(self, clone: Path, branch: str, value: str) -> None:
        """Removes the branch if it is still at `value`, so that nobody's later commit goes with it."""
        self._push(clone, f":refs/heads/{branch}", f"--force-with-lease=refs/heads/{branch}:{value}")

    def _push(self, clone: Path, refspec: str, *options: str) -> None:
        if self._push_remote is None:
            raise NexusError("this step declares no write to Git, so it holds no credential that can push")
        self._call("push", "--porcelain", *options, "--", self._push_remote, refspec, cwd=clone)

    def _ref(self, name: str) -> str | None:
        listed = self._call("ls-remote", "--", self._remote, name).splitlines()
        return {found: value for value, found in (line.split("\t") for line in listed)}.get(name)

    def _found(self, clone: Path, revision: str) -> str:
        """The full hash of a commit of main."""
        if not _known(clone, revision) and git("rev-parse", "--is-shallow-repository", cwd=clone).strip() == "true":
            self._call("fetch", "--quiet", "--unshallow", "origin", cwd=clone)
        if not _known(clone, revision):
            raise Missing(f"{self._name}: main holds no commit {revision}")
        return _hash(clone, revision)

    @contextmanager
    def _clone(self, branch: str = "main", *, whole: bool = False) -> Iterator[Path]:
        """A private clone, gone afterwards: the newest commit of a branch, or its whole history and none of its
        files."""
        extent = "--no-checkout" if whole else "--depth=1"
        with tempfile.TemporaryDirectory(prefix="nexus-clone-") as folder:
            clone = Path(folder) / "clone"
            options = ("--quiet", "--no-tags", "--single-branch", f"--branch={branch}", extent)
            self._call("clone", *options, "--", self._remote, str(clone))
            yield clone

    def _call(self, *words: str, cwd: Path | None = None) -> str:
        """A call that speaks with the remote. Raises RemoteRefused, Missing or Unreachable, in the remote's words."""
        try:
            return git(*words, cwd=cwd, seconds=self._seconds)
        except GitError as error:
            said = error.output.replace(self._push_remote or self._remote, self._name)
            lines = said.replace(self._remote, self._name).splitlines()
        heard = [line for line in lines if line.startswith(("remote:", "!"))]
        own = "\n".join(line for line in lines if not line.startswith("remote:"))
        if absent := _NO_BRANCH.search(own):
            raise Missing(f"{self._name}: no branch {absent[1]}")
        if _NO_REPOSITORY.search(own):
            raise Missing(f"{self._name}: no Git repository; `make demo` plants the one of this machine")
        if _REFUSED.search(own):
            raise RemoteRefused(f"{self._name} refused: {shown(chr(10).join(heard or lines))}")
        raise Unreachable(f"{self._name}: {shown(chr(10).join(lines))}")


_COMMIT = re.compile(r"[0-9a-f]{7,64}")

# What git itself says (never the remote's own words), with LC_ALL=C.
_NO_BRANCH = re.compile(r"(?:Remote branch|couldn't find remote ref) (?:refs/heads/)?(\S+)")
_NO_REPOSITORY = re.compile(r"does not appear to be a git repository|repository '.*' (does not exist|not found)")
_REFUSED = re.compile(
    r"^!\t.*\[(remote )?rejected\]|Authentication failed|could not read (Username|Password)|Permission denied"
    r"|returned error: 40[13]",
    re.MULTILINE,
)
_LOCKED = re.compile(r"cannot lock ref|failed to update ref|incorrect old value")
"""Somebody else is moving main at this moment."""


def committed(clone: Path, commit: Commit) -> str | None:
    """The new commit's hash; None where nothing changed. Raises NexusError where `edit` changed more than it said."""
    meant = commit.edit(clone)
    git("add", "--all", cwd=clone)
    if present := [path for path in meant if (clone / path).exists()]:
        git("add", "--force", "--", *present, cwd=clone)  # meant, so no .gitignore leaves it out
    changed = _staged(clone)
    if strays := [path for path in changed if not _covered(path, meant)]:
        raise NexusError(
            f"{commit.message.splitlines()[0]}: would also change {', '.join(strays[:5])}; if that is what main's own "
            "code renders, run `nexus render` and commit it first"
        )
    if not changed:
        return None
    git("commit", "--quiet", "--file=-", cwd=clone, stdin=message_text(commit))
    return _hash(clone, "HEAD")


def message_text(commit: Commit) -> str:
    """The message with its trailers as its last paragraph (git-interpret-trailers(1))."""
    lines = [f"{key}: {value}" for key, value in commit.trailers.items()]
    if any(not line.isprintable() for line in (commit.message, *lines)):
        raise BadInput(
            "commit", [commit.message, *lines], "the message and each trailer are one line of printable characters"
        )
    return "\n".join([commit.message, "", *lines, ""])


def without_credentials(remote: str) -> str:
    """As it may be shown and logged: on one line, too. Raises BadInput for what is no address."""
    try:
        parts = urlsplit(remote)
    except ValueError:  # its message may quote the password
        raise BadInput("NEXUS_REMOTE", "its URL", "give a path, HOST:PATH, or https://HOST/PATH") from None
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return plain_line(remote)
    return plain_line(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())


def _covered(path: str, meant: Sequence[str]) -> bool:
    """A name that ends with `/` stands for everything below it."""
    return any(path == name or (name.endswith("/") and path.startswith(name)) for name in meant)


def _ours(clone: Path, commit: str) -> bool:
    return git("log", "-1", "--format=%ce", commit, cwd=clone).strip() == EMAIL


def _staged(clone: Path) -> list[str]:
    return [
        path for path in git("diff", "--cached", "--name-only", "--no-renames", "-z", cwd=clone).split("\0") if path
    ]


def _changed(clone: Path) -> list[str]:
    listed = git("diff", "--name-only", "-z", "--no-renames", "origin/main", "HEAD", cwd=clone)
    return [path for path in listed.split("\0") if path]


def _known(clone: Path, revision: str) -> bool:
    try:
        return bool(_hash(clone, revision))
    except GitError:
        return False


def _hash(clone: Path, revision: str) -> str:
    return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", cwd=clone).strip()
