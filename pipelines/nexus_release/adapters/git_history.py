"""Main's history, read from a clone."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from nexus_release.adapters.git_calls import GitError, command, environment, git
from nexus_release.errors import NexusError
from nexus_release.ports import LoggedCommit

COMMITS = 10_000
"""How far back is looked, newest first."""

_FORMAT = "%H%n%cI%n%s%n%(trailers:only,unfold)"


class GitHistory:
    """The port `History`. `objects` is one `git cat-file --batch`, so that a long walk starts no process for a file."""

    def __init__(self, clone: Path, objects: subprocess.Popen[bytes]) -> None:
        self._clone = clone
        self._asked, self._answered = cast(IO[bytes], objects.stdin), cast(IO[bytes], objects.stdout)
        self._folders: dict[str, dict[str, bytes]] = {}
        self._files: dict[str, bytes] = {}

    def commits(self, *paths: str) -> list[LoggedCommit]:
        log = git("log", "-z", f"--max-count={COMMITS}", f"--format={_FORMAT}", "HEAD", "--", *paths, cwd=self._clone)
        return [_logged(entry) for entry in log.split("\0") if entry]

    def file(self, commit: str, path: str) -> bytes | None:
        found = self._object(f"{commit}:{path}")
        return found[2] if found and found[1] == "blob" else None

    def folder(self, commit: str, path: str) -> dict[str, bytes]:
        found = self._object(f"{commit}:{path.rstrip('/')}")
        if found is None or found[1] != "tree":
            return {}
        name, _, tree = found
        if name not in self._folders:
            self._folders[name] = {entry: self._file(blob) for entry, blob in _blobs(tree, len(name) // 2)}
        return self._folders[name]

    def paths(self, commit: str, folder: str) -> list[str]:
        try:
            listed = git("ls-tree", "-r", "--name-only", "-z", "--full-tree", commit, f"{folder}/", cwd=self._clone)
        except GitError:
            return []
        return [path for path in listed.split("\0") if path]

    def _file(self, name: str) -> bytes:
        if name not in self._files:
            found = self._object(name)
            if found is None:
                raise NexusError(f"main's history lacks the file {name}: the clone is broken")
            self._files[name] = found[2]
        return self._files[name]

    def _object(self, name: str) -> tuple[str, str, bytes] | None:
        """(hash, type, bytes), or None where there is none. The answer's form is in git-cat-file(1)."""
        if "\n" in name:
            return None
        self._asked.write(name.encode() + b"\n")
        self._asked.flush()
        head = self._answered.readline().split()
        if not head:
            raise NexusError("git cat-file has ended")
        if head[-1] in (b"missing", b"ambiguous"):
            return None
        data = self._answered.read(int(head[2]) + 1)[:-1]
        return head[0].decode(), head[1].decode(), data


@contextmanager
def open_history(clone: Path) -> Iterator[GitHistory]:
    objects = subprocess.Popen(
        command(("cat-file", "--batch")),
        cwd=clone,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with objects:
        try:
            yield GitHistory(clone, objects)
        finally:
            objects.kill()  # it only reads


def _logged(entry: str) -> LoggedCommit:
    commit, moment, subject, trailers = entry.split("\n", 3)
    pairs = (line.partition(": ")[::2] for line in trailers.splitlines() if ": " in line)
    return LoggedCommit(commit, subject, moment, dict(pairs))


def _blobs(tree: bytes, width: int) -> Iterator[tuple[str, str]]:
    """(name, hash) of each file in a tree object: `<mode> <name>`, NUL, `width` bytes of hash, again and again."""
    position = 0
    while position < len(tree):
        space, end = tree.index(b" ", position), tree.index(b"\0", position)
        position, start = end + 1 + width, position
        if tree[start:space].startswith(b"100"):  # a plain file, and no folder or link
            yield tree[space + 1 : end].decode(errors="replace"), tree[end + 1 : position].hex()
