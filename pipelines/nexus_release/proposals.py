"""Turns a change of a plan into commits with trailers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from nexus_release.config import load_settings
from nexus_release.digests import digest_bytes
from nexus_release.names import model_slug
from nexus_release.plan import Plan, Pointer, admitted, plan_path, plan_text, read_plan
from nexus_release.ports import Commit, Landed, Repository
from nexus_release.record import record_path
from nexus_release.renderer import check_with_own_code, render_with_own_code

Kind = Literal["admit", "canary", "promote", "rollback"]


def branch_name(kind: Kind, environment: str, model: str, mark: str) -> str:
    """The same change has the same branch, so that a repeated proposal finds its own."""
    return f"{kind}/{environment}/{model_slug(model)}/{mark}"


def record_commit(model: str, release: str, file: bytes) -> Commit:
    """Adds the record's file; a record that stands is left as it is."""
    path = record_path(model, release)

    def edit(clone: Path) -> Sequence[str]:
        target = clone / path
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file)
        return [path]

    message = f"Record release {release[:12]} of {model}"
    trailers = {"Nexus-Model": model, "Nexus-Release": release, "Nexus-Record": digest_bytes(file)}
    return Commit(message, trailers, edit)


def plan_commit(
    kind: Kind,
    environment: str,
    model: str,
    message: str,
    trailers: Mapping[str, str],
    change: Callable[[Path, Plan | None], str],
) -> Commit:
    """Writes the plan that `change` gives as text for the clone and its present plan, and renders what follows."""
    path = plan_path(environment, model)

    def edit(clone: Path) -> Sequence[str]:
        text = change(clone, read_plan(clone, environment, model))
        target = clone / path
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        render_with_own_code(clone, environment)
        return [path, f"gitops/{environment}/"]

    names = {"Nexus-Change": kind, "Nexus-Environment": environment, "Nexus-Model": model}
    return Commit(message, {**names, **trailers}, edit)


def admission(environment: str, model: str, release: str, record: bytes) -> list[Commit]:
    """The two commits of a new release: its record, then the plan that points at it."""
    pointer = Pointer(release=release, record=digest_bytes(record))
    trailers = {"Nexus-Release": release, "Nexus-Record": pointer.record}

    def text(_: Path, now: Plan | None) -> str:
        return plan_text(admitted(now, model, pointer))

    message = f"Admit release {release[:12]} of {model} to {environment}"
    return [
        record_commit(model, release, record),
        plan_commit("admit", environment, model, message, trailers, text),
    ]


def land_or_leave(repository: Repository, environment: str, branch: str, commits: Sequence[Commit]) -> Landed:
    """Lands on main where the environment says `merge`, else leaves the branch for people."""

    def check(before: Path, after: Path) -> None:
        check_with_own_code(before, after, environment)

    with tempfile.TemporaryDirectory(prefix="nexus-main-") as folder:
        repository.checkout(Path(folder))
        land = load_settings(Path(folder), environment).landing == "merge"
    return repository.propose(branch, commits, check=check, land=land)
