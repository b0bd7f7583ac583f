"""Real Git remotes: bare repositories on the disk, and a person who commits to them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from nexus_release.config import environment_names
from nexus_release.manifests.tree import load_inputs, render, write
from nexus_release.plan import Plan, Pointer
from nexus_release.record import Record

from .releases import plant_environments, plant_plan, plant_record
from .repository import PACKAGES

_PERSON = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Person",
    "GIT_AUTHOR_EMAIL": "person@example.org",
    "GIT_COMMITTER_NAME": "Person",
    "GIT_COMMITTER_EMAIL": "person@example.org",
}


def git(folder: Path, *words: str) -> str:
    """As a person at a terminal. Raises CalledProcessError."""
    done = subprocess.run(
        ["git", *words], cwd=folder, env={**os.environ, **_PERSON}, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


class Remote:
    """A bare repository whose main holds what `fill` has written, and a clone in which a person commits."""

    def __init__(self, folder: Path, fill: Callable[[Path], None]) -> None:
        self.path, self.clone = folder / "remote.git", folder / "person"
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.path))
        git(folder, "init", "--quiet", "--initial-branch=main", str(self.clone))
        git(self.clone, "remote", "add", "origin", str(self.path))
        fill(self.clone)
        self._push("Start")

    @classmethod
    def copied(cls, remote: Remote, folder: Path) -> Remote:
        """Another with the same history, which can be changed without changing the first."""
        copy = object.__new__(cls)
        copy.path, copy.clone = folder / "remote.git", folder / "person"
        git(folder, "clone", "--quiet", "--bare", str(remote.path), str(copy.path))
        return copy

    def commit(self, files: Mapping[str, str | None], message: str = "A person's change") -> str:
        """Writes files (None removes one) on top of main as it is now, and pushes."""
        self.pull()
        for name, text in files.items():
            path = self.clone / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
        return self._push(message)

    def commit_on(self, branch: str, files: Mapping[str, str]) -> str:
        """A person's commit on a branch that is not main."""
        self.pull()
        git(self.clone, "fetch", "--quiet", "origin", branch)
        git(self.clone, "checkout", "--quiet", "--detach", "FETCH_HEAD")
        for name, text in files.items():
            (self.clone / name).write_text(text, encoding="utf-8")
        return self._push("A person's change", branch)

    def record(self, record: Record) -> Pointer:
        """Commits a record as `propose` would, without its trailers."""
        self.pull()
        pointer = plant_record(self.clone, record)
        self._push(f"Record release {pointer.release[:12]}")
        return pointer

    def plan(self, plan: Plan, message: str = "A plan", environment: str = "local") -> str:
        """Commits a plan and what it renders to; returns the commit."""
        self.pull()
        plant_plan(self.clone, environment, plan)
        return self._push(message)

    def pull(self) -> None:
        if not self.clone.exists():
            git(self.path, "clone", "--quiet", str(self.path), str(self.clone))
        git(self.clone, "fetch", "--quiet", "origin", "main")
        git(self.clone, "checkout", "--quiet", "-B", "main", "FETCH_HEAD")

    def git(self, *words: str) -> str:
        return git(self.path, *words)

    @property
    def head(self) -> str:
        return self.git("rev-parse", "refs/heads/main")

    def refs(self) -> dict[str, str]:
        """Every ref's short name -> commit."""
        listed = self.git("for-each-ref", "--format=%(refname:short) %(objectname)").split()
        return dict(zip(listed[::2], listed[1::2], strict=True))

    def files(self, *paths: str, commit: str = "main") -> dict[str, bytes]:
        """Path -> bytes of every file, or of those below `paths`."""
        names = self.git("ls-tree", "-r", "--name-only", "-z", commit, "--", *paths).split("\0")
        return {name: self.file(name, commit) for name in names if name}

    def file(self, path: str, commit: str = "main") -> bytes:
        return subprocess.run(
            ["git", "cat-file", "blob", f"{commit}:{path}"], cwd=self.path, check=True, capture_output=True
        ).stdout

    def changed(self, commit: str) -> set[str]:
        return set(self.git("diff-tree", "-r", "--name-only", "--no-commit-id", commit).splitlines())

    def subjects(self) -> list[str]:
        return self.git("log", "--format=%s", "main").splitlines()

    def trailers(self, commit: str) -> dict[str, str]:
        lines = self.git("log", "-1", "--format=%(trailers:only,unfold)", commit).splitlines()
        return {key: value for key, _, value in (line.partition(": ") for line in lines)}

    def hook(self, name: str, script: str) -> None:
        path = self.path / "hooks" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def _push(self, message: str, branch: str = "main") -> str:
        git(self.clone, "add", "--all")
        git(self.clone, "commit", "--quiet", "--allow-empty", "-m", message)
        git(self.clone, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
        return git(self.clone, "rev-parse", "HEAD")


def plant_house(root: Path) -> None:
    """What main holds before the first release: the code that renders, the environments, and their trees."""
    shutil.copytree(
        PACKAGES["nexus_release"],
        root / "pipelines" / "nexus_release",
        ignore=shutil.ignore_patterns("__pycache__"),
        dirs_exist_ok=True,
    )
    plant_environments(root)
    for name in environment_names(root):
        write(root, name, render(load_inputs(root, name)))
