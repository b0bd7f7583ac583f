"""Turns a change of a plan into commits with trailers, shows what they would do, and carries them to the remote."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from nexus_release.config import Settings, load_settings
from nexus_release.digests import digest_bytes
from nexus_release.errors import Conflict
from nexus_release.manifests.gateway import ROUTES_FOLDER
from nexus_release.manifests.tree import tree_path
from nexus_release.names import model_slug
from nexus_release.plan import Plan, Pointer, admitted, plan_path, plan_text, read_plan
from nexus_release.ports import Commit, Landed, Repository
from nexus_release.record import record_path
from nexus_release.renderer import check_with_own_code, render_with_own_code

Kind = Literal["admit", "canary", "canary-step", "promote", "rollback"]
Change = Callable[[Path, Plan | None], str | None]
"""(a clone, its present plan) -> the new plan's file; None where the plan says so already."""


def text_unless_same(plan: Plan, now: Plan | None) -> str | None:
    return None if plan == now else plan_text(plan)


def branch_name(kind: Kind, environment: str, model: str, mark: str) -> str:
    """The same change has the same branch, so that a repeated proposal finds its own."""
    return f"{kind}/{environment}/{model_slug(model)}/{mark}"


def admission_branch(environment: str, model: str, release: str) -> str:
    return branch_name("admit", environment, model, release[:12])


def own_paths(environment: str, model: str) -> tuple[str, ...]:
    """All that a change of one model's plan may touch."""
    top, slug = tree_path(environment), model_slug(model)
    return (
        plan_path(environment, model),
        f"{top}/{slug}/",
        f"{top}/gateway/{ROUTES_FOLDER}/{slug}.yaml",
        f"{top}/gateway/kustomization.yaml",
    )


def admission(environment: str, model: str, release: str, record: bytes, reason: str | None = None) -> list[Commit]:
    """The two commits of a new release: its record, then the plan that points at it. `reason`: what asks for it."""
    pointer = Pointer(release=release, record=digest_bytes(record))

    def change(clone: Path, now: Plan | None) -> str | None:
        text = text_unless_same(admitted(now, model, pointer), now)
        if text and (clone / record_path(model, release)).read_bytes() != record:
            raise Conflict(f"{model}: main has just got a record of release {release[:12]} from another run; run again")
        return text

    message = f"Admit release {release[:12]} of {model} to {environment}"
    return [
        record_commit(model, pointer, record),
        plan_commit("admit", environment, model, pointer, message, change, {"Nexus-Reason": reason} if reason else {}),
    ]


def record_commit(model: str, pointer: Pointer, file: bytes) -> Commit:
    """Adds the record's file; a record that stands is left as it is."""
    path = record_path(model, pointer.release)

    def edit(clone: Path) -> Sequence[str]:
        if not (clone / path).exists():
            (clone / path).parent.mkdir(parents=True, exist_ok=True)
            (clone / path).write_bytes(file)
        return [path]

    return Commit(f"Record release {pointer.release[:12]} of {model}", _trailers(model, pointer), edit)


def plan_commit(
    kind: Kind,
    environment: str,
    model: str,
    pointer: Pointer,
    message: str,
    change: Change,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Commit:
    """Writes the plan that `change` gives, and renders what follows from it. `more`: further trailers."""
    path = plan_path(environment, model)

    def edit(clone: Path) -> Sequence[str]:
        text = change(clone, read_plan(clone, environment, model))
        if text is not None:
            (clone / path).parent.mkdir(parents=True, exist_ok=True)
            (clone / path).write_text(text, encoding="utf-8")
            render_with_own_code(clone, environment)
        return own_paths(environment, model)

    names = {"Nexus-Change": kind, "Nexus-Environment": environment}
    return Commit(message, {**names, **_trailers(model, pointer), **more}, edit)


@contextmanager
def main_files(repository: Repository) -> Iterator[Path]:
    """The files of main, while the block lasts."""
    with tempfile.TemporaryDirectory(prefix="nexus-main-") as folder:
        repository.checkout(Path(folder))
        yield Path(folder)


@contextmanager
def two_checkouts(repository: Repository) -> Iterator[tuple[str, Path, Path]]:
    """(commit, its files, its files again) of main, while the block lasts: what is, and where to try a change."""
    with tempfile.TemporaryDirectory(prefix="nexus-trial-") as folder:
        before, after = Path(folder, "before"), Path(folder, "after")
        before.mkdir()
        base = repository.checkout(before)
        shutil.copytree(before, after, symlinks=True)
        yield base, before, after


def land_or_leave(
    repository: Repository,
    environment: str,
    branch: str,
    commits: Sequence[Commit],
    *,
    admits: Callable[[Path], None] = lambda _: None,
    landing: Callable[[Settings], str] = lambda settings: settings.landing,
) -> Landed:
    """Lands on main where the environment's settings on main say `merge`, else leaves the branch for people.

    `admits` is told main's files as they are before the change, each time that it is made anew on another main; what
    it raises ends the proposal.
    """

    def check(before: Path, after: Path) -> None:
        admits(before)
        check_with_own_code(before, after, environment)

    def lands(main: Path) -> bool:
        return landing(load_settings(main, environment)) == "merge"

    return repository.propose(branch, commits, check=check, lands=lands)


def _trailers(model: str, pointer: Pointer) -> Mapping[str, str]:
    return {"Nexus-Model": model, "Nexus-Release": pointer.release, "Nexus-Record": pointer.record}
