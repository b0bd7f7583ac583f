"""The Git remote. Everything happens in temporary clones; nothing is ever forced.

Failure policy: what the remote refuses is not tried again (RemoteRefused); what does not answer is (Unreachable, the
step's retries); a race is lost by redoing the work on the new main, a bounded number of times (Conflict).
"""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nexus_release.errors import Conflict, NexusError, RemoteRefused, Unreachable
from nexus_release.ports import Commit, History, Landed, LoggedCommit

MAIN = "refs/heads/main"
TRIES = 5
"""Times that a proposal is redone on a main that has moved meanwhile."""

_SECONDS = 120.0  # for one call of git; a clone of a repository of manifests takes a second
_WORDS = 500  # characters of the remote's own words in an error


class GitError(NexusError):
    """One call of git that ended badly; `output` is what it said."""

    def __init__(self, words: Sequence[str], output: str) -> None:
        super().__init__(f"git {' '.join(words[:2])}: {output.strip()[-_WORDS:]}")
        self.output = output


def git(*words: str, cwd: Path | None = None, stdin: str = "", seconds: float = _SECONDS) -> str:
    """Runs git with nothing of the user's own configuration. Raises GitError, or Unreachable when time is up."""
    return git_bytes(*words, cwd=cwd, stdin=stdin, seconds=seconds).decode(errors="replace")


def git_bytes(*words: str, cwd: Path | None = None, stdin: str = "", seconds: float = _SECONDS) -> bytes:
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "file:http:https:ssh",
        "GIT_AUTHOR_NAME": "Nexus",
        "GIT_AUTHOR_EMAIL": "nexus@localhost",
        "GIT_COMMITTER_NAME": "Nexus",
        "GIT_COMMITTER_EMAIL": "nexus@localhost",
        "LC_ALL": "C",
    }
    command = ["git", "-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", *words]
    try:
        done = subprocess.run(
            command, cwd=cwd, input=stdin.encode(), env=environment, capture_output=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        raise Unreachable(f"git {words[0]}: no answer within {seconds:g} s") from None
    if done.returncode:
        raise GitError(words, (done.stderr + b"\n" + done.stdout).decode(errors="replace"))
    return done.stdout


class GitRepository:
    """The port `Repository` on a path or URL."""

    def __init__(self, remote: str) -> None:
        self._remote = remote

    def head(self) -> str:
        with self._reaching():
            return git("ls-remote", "--exit-code", "--", self._remote, MAIN).split()[0]

    def checkout(self, into: Path, revision: str = "main") -> str:
        with self._clone() as clone:
            commit = _hash(clone, revision if re.fullmatch(r"[0-9a-f]{7,40}", revision) else f"origin/{revision}")
            _write_tree(clone, commit, into)
        return commit

    def propose(
        self, branch: str, commits: Sequence[Commit], *, check: Callable[[Path, Path], None], land: bool
    ) -> Landed:
        for _ in range(TRIES):
            with self._clone() as clone, tempfile.TemporaryDirectory(prefix="nexus-before-") as before:
                base = _hash(clone, "HEAD")
                _write_tree(clone, base, Path(before))
                made = tuple(made for commit in commits if (made := _commit(clone, commit)))
                if not made:
                    return Landed(branch, (), landed=True)
                check(Path(before), clone)
                self._push_branch(clone, branch)
                if not land:
                    return Landed(branch, made, landed=False)
                if self._move_main(clone, made[-1]):
                    self._push(clone, f":refs/heads/{branch}")
                    return Landed(branch, made, landed=True)
        raise Conflict(f"main of {self._remote} moved {TRIES} times while {branch} was proposed; try again")

    @contextmanager
    def history(self) -> Iterator[History]:
        with self._clone() as clone:
            yield GitHistory(clone)

    def _push_branch(self, clone: Path, branch: str) -> None:
        """A branch is named for what it proposes, and only Nexus writes it: one that an earlier try has left is
        removed first."""
        if git("ls-remote", "--", self._remote, f"refs/heads/{branch}"):
            self._push(clone, f":refs/heads/{branch}")
        self._push(clone, f"HEAD:refs/heads/{branch}")

    def _move_main(self, clone: Path, commit: str) -> bool:
        """False where main has moved: an ordinary push is a compare-and-set."""
        try:
            self._push(clone, f"{commit}:{MAIN}")
        except _Moved:
            return False
        except Unreachable:
            if self._holds(clone, commit):  # accepted, and then the connection died
                return True
            raise
        return True

    def _holds(self, clone: Path, commit: str) -> bool:
        git("fetch", "--quiet", "origin", MAIN, cwd=clone)
        return git("branch", "--all", "--contains", commit, "--format=%(refname)", cwd=clone).find("origin/main") >= 0

    def _push(self, clone: Path, refspec: str) -> None:
        try:
            with self._reaching():
                git("push", "--porcelain", "--quiet", "origin", refspec, cwd=clone)
        except GitError as error:
            if re.search(
                r"\[rejected\]|cannot lock ref|fetch first|incorrect old value|failed to update ref", error.output
            ):
                raise _Moved(str(error)) from None
            raise RemoteRefused(f"{self._remote} refused {refspec}: {error}") from None

    @contextmanager
    def _clone(self) -> Iterator[Path]:
        """A private clone of main, gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="nexus-clone-") as folder:
            clone = Path(folder) / "clone"
            with self._reaching():
                git("clone", "--quiet", "--branch", "main", "--", self._remote, str(clone))
            yield clone

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except GitError as error:
            if _REFUSED.search(error.output):
                raise
            raise Unreachable(f"{self._remote}: {error}") from None


class GitHistory:
    """The port `History` on a clone."""

    def __init__(self, clone: Path) -> None:
        self._clone = clone

    def commits(self, *paths: str) -> list[LoggedCommit]:
        logged = git("log", f"--format={_LOG}", "origin/main", "--", *paths, cwd=self._clone)
        return [_logged(entry) for entry in logged.split("\x1e") if entry.strip()]

    def file(self, commit: str, path: str) -> bytes | None:
        try:
            return git_bytes("cat-file", "blob", f"{commit}:{path}", cwd=self._clone)
        except GitError:
            return None

    def folder(self, commit: str, path: str) -> dict[str, bytes]:
        names = git("ls-tree", "--name-only", "-z", commit, f"{path.rstrip('/')}/", cwd=self._clone).split("\0")
        files = {Path(name).name: self.file(commit, name) for name in names if name}
        return {name: data for name, data in files.items() if data is not None}


_LOG = "%H%x1f%s%x1f%cI%x1f%(trailers:only,unfold)%x1e"


def _logged(entry: str) -> LoggedCommit:
    commit, subject, moment, trailers = entry.strip("\n").split("\x1f")
    pairs = (line.split(": ", 1) for line in trailers.splitlines() if ": " in line)
    return LoggedCommit(commit, subject, moment, {key: value for key, value in pairs})


class _Moved(NexusError):
    """Main is not where it was."""


_REFUSED = re.compile(r"\[(remote )?rejected\]|cannot lock ref|\[remote failure\]")


def _commit(clone: Path, commit: Commit) -> str | None:
    """The hash, or None where nothing changed. Raises NexusError where an edit changed what it did not name."""
    meant = set(commit.edit(clone))
    git("add", "--all", cwd=clone)
    changed = set(filter(None, git("diff", "--cached", "--name-only", "-z", cwd=clone).split("\0")))
    if strays := sorted(path for path in changed if not _covered(path, meant)):
        raise NexusError(f"the change {commit.message.splitlines()[0]!r} also touched {', '.join(strays)}")
    if not changed:
        return None
    trailers = [f"--trailer={key}: {value}" for key, value in commit.trailers.items()]
    git("commit", "--quiet", "--file=-", *trailers, cwd=clone, stdin=commit.message)
    return _hash(clone, "HEAD")


def _covered(path: str, meant: set[str]) -> bool:
    """A name that ends with `/` stands for everything below it."""
    return path in meant or any(path.startswith(name) for name in meant if name.endswith("/"))


def _hash(clone: Path, revision: str) -> str:
    return git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}", cwd=clone).strip()


def _write_tree(clone: Path, commit: str, into: Path) -> None:
    """The files of `commit`, and nothing else, in the empty folder `into`."""
    with tempfile.TemporaryDirectory(prefix="nexus-tree-") as folder:
        archive = Path(folder) / "tree.tar"
        git("archive", "--format=tar", f"--output={archive}", commit, cwd=clone)
        with tarfile.open(archive) as tar:
            tar.extractall(into, filter="data")
