"""The Git remote as one file: every ref, and everything that they reach."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nexus_release.adapters.git import without_credentials
from nexus_release.adapters.git_calls import GitError, git
from nexus_release.backup.manifest import PartName, Saved
from nexus_release.backup.taking import Fetch
from nexus_release.backup.vault import Vault
from nexus_release.errors import Missing, NexusError

_BUNDLE = "all.bundle"
_PUSHED = ("refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*")
# What forges keep besides, as refs/pull/, is in the bundle; none lets it be pushed.
_SECONDS = 1800.0  # of one call: a whole history, over a network


class GitPart:
    """Part `git`: path or URL of the remote. Hooks and settings of its server are no part of it."""

    name: PartName = "git"

    def __init__(self, remote: str) -> None:
        self._remote = remote
        self.place = without_credentials(remote)

    def save(self, vault: Vault, before: Sequence[Saved], left_out: list[str]) -> Iterator[Saved]:
        with tempfile.TemporaryDirectory(prefix="nexus-bundle-") as folder:
            clone, bundle = Path(folder) / "clone.git", Path(folder) / _BUNDLE
            try:
                git("clone", "--quiet", "--mirror", "--", self._remote, str(clone), seconds=_SECONDS)
            except GitError as error:
                raise Missing(f"{error}; does NEXUS_REMOTE name a Git repository?") from None
            git("bundle", "create", "--quiet", str(bundle), "--all", cwd=clone, seconds=_SECONDS)
            git("bundle", "verify", "--quiet", str(bundle), cwd=clone, seconds=_SECONDS)
            yield vault.keep(bundle, _BUNDLE)

    def occupied(self) -> str:
        if (path := self._path()) is not None:
            there = path.exists() and (not path.is_dir() or any(path.iterdir()))
            return f"{path} is there" if there else ""
        refs = git("ls-remote", "--refs", "--", self._remote, seconds=_SECONDS).splitlines()
        return f"it has {len(refs)} refs" if refs else ""

    @contextmanager
    def staged(self, files: Sequence[Saved], fetch: Fetch) -> Iterator[Callable[[], None]]:
        path = self._path()
        beside = path.parent if path else None
        if beside:
            beside.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".nexus-restoring-", dir=beside) as folder:
            bundle, made = Path(folder) / _BUNDLE, Path(folder) / "remote.git"
            for saved in files:
                fetch(saved, Path(folder) / saved.path)
            git("init", "--quiet", "--bare", "--initial-branch=main", str(made))
            git("fetch", "--quiet", str(bundle), "+refs/*:refs/*", cwd=made, seconds=_SECONDS)
            git("fsck", "--strict", "--no-progress", "--no-dangling", cwd=made, seconds=_SECONDS)

            def put() -> None:
                if path is None:
                    git("push", "--quiet", "--atomic", "--", self._remote, *_PUSHED, cwd=made, seconds=_SECONDS)
                    return
                if path.is_dir():
                    path.rmdir()
                made.replace(path)

            yield put

    def _path(self) -> Path | None:
        """None where it is a URL of another machine."""
        if self._remote.startswith("file://"):
            return Path(self._remote.removeprefix("file://"))
        if "://" in self._remote or (":" in self._remote.split("/")[0]):
            return None
        if not self._remote:
            raise NexusError("no Git remote is named: set NEXUS_REMOTE")
        return Path(self._remote).absolute()
