"""Sample pull requests in real Git: a company's main, and a branch on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nexus_release.manifests.overlays import OVERLAYS, overlays
from nexus_release.manifests.tree import load_inputs, write
from nexus_release.manifests.tree import render as rendered
from nexus_release.plan import admitted, promoted

from .command import Nexus, Told
from .promotable import MODEL, Company, plant_clusters, promotable
from .releases import make_pointer, plant_plan
from .remotes import Remote, git

ONE, TWO, THREE = (promotable(seed) for seed in (1, 2, 3))
FIRST, SECOND, THIRD = (make_pointer(record) for record in (ONE, TWO, THREE))
OTHER = "other-chat"
BRANCH = "sample"


class Sample:
    """A company's main with a model in every environment, and one branch."""

    def __init__(self, company: Company, nexus: Nexus) -> None:
        self.company, self.remote, self.nexus = company, company.remote, nexus

    @classmethod
    def copied(
        cls,
        house: tuple[Remote, Path],
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> Sample:
        company = Company(Remote.copied(house[0], folder), house[1])
        monkeypatch.setenv("NEXUS_REMOTE", str(company.remote.path))
        monkeypatch.setenv("NEXUS_WORK", company.connections.work)
        for name in ("GITHUB_HEAD_REF", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "NEXUS_PR_BRANCH", "NEXUS_FORGE"):
            monkeypatch.delenv(name, raising=False)
        return cls(company, Nexus(monkeypatch, capsys))

    def branch(self, *edits: Callable[[Path], object], name: str = BRANCH) -> str:
        """A person's commit on top of main."""
        self.remote.pull()
        clone = self.remote.clone
        git(clone, "checkout", "--quiet", "--detach", "main")
        for edit in edits:
            edit(clone)
        git(clone, "add", "--all", "--force")
        git(clone, "commit", "--quiet", "-m", "A person's change")
        git(clone, "push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{name}")
        return name

    def check(self, branch: str = BRANCH, *words: str) -> Told:
        return self.nexus("check-pr", "--root", str(self.remote.path), "--base", "main", "--head", branch, *words)

    def proofs(self, branch: str = BRANCH, *words: str) -> dict[str, tuple[str, str]]:
        """Name -> state and what was said."""
        told = json.loads(self.check(branch, "--json", *words).out)
        return {one["name"]: (one["state"], "\n".join(one["said"])) for one in told["proofs"]}

    def told(self, *words: str) -> dict[str, Any]:
        done = self.nexus(*words, "--json")
        assert done.status == 0, done.err
        answer = json.loads(done.out)
        assert isinstance(answer, dict)
        return answer

    def merge(self, branch: str) -> None:
        self.remote.git("update-ref", "refs/heads/main", self.remote.refs()[branch])


def _planted(root: Path) -> None:
    plant_clusters(root)
    write(root, OVERLAYS, overlays(root))  # a change of code is held against all that is rendered


def grown(folder: Path) -> tuple[Remote, Path]:
    """ONE is stable everywhere, TWO in dev, of another model ONE is stable in staging."""
    remote = Remote(folder, _planted)
    company = Company(remote, folder)
    company.stable(ONE, "dev", "staging", "prod")
    company.stable(promotable(1, model=OTHER), "staging")
    company.make(THREE)
    entered = admitted(admitted(None, MODEL, FIRST), MODEL, company.make(TWO))
    remote.plan(promoted(entered, SECOND.release, 1), "TWO is stable in dev", "dev")
    return remote, folder


def render(clone: Path, environment: str = "staging") -> None:
    write(clone, environment, rendered(load_inputs(clone, environment)))


def admit_two(clone: Path) -> None:
    plant_plan(clone, "staging", admitted(admitted(None, MODEL, FIRST), MODEL, SECOND))
