"""Finds the one thing that a person means: a revision, release, commit, model, InferenceService, version or record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from nexus_release.config import settings_path
from nexus_release.digests import digest_bytes
from nexus_release.errors import BadInput, Missing
from nexus_release.history import commits_of_revision, plans, routes_folder
from nexus_release.names import MODEL_NAME, service_name
from nexus_release.plan import plan_path
from nexus_release.ports import History, LoggedCommit
from nexus_release.record import parse_record

SHORTEST = 8
"""Digits of a prefix; with fewer nobody can have meant one thing."""

RECORDS = "gitops/releases"

_LOGGED_MODEL = "m-"  # by which MLflow begins the ids of LoggedModels

Kind = Literal[
    "revision", "release", "commit", "model", "InferenceService", "registry version", "LoggedModel", "record"
]


@dataclass(frozen=True)
class Sought:
    kind: Kind
    name: str
    """In full."""
    commit: LoggedCommit
    """The newest that shows it."""
    model: str = ""
    """The one model that it is about; empty where it is about all."""
    release: str = ""
    """The one release that it is about; empty where it is about all."""
    earlier: tuple[LoggedCommit, ...] = field(default=())
    """Other commits that brought the same revision, newest first."""


def find(history: History, environment: str, what: str) -> Sought:
    """Raises BadInput for an unknown environment or the beginning of several things, Missing for nothing."""
    log = history.commits()
    if not log or history.file(log[0].hash, settings_path(environment)) is None:
        raise BadInput("--env", environment, f"main has no {settings_path(environment)}")
    found = [
        *_by_digits(history, environment, what, log),
        *_by_name(history, environment, what),
        *_by_record(history, environment, what),
    ]
    if len(found) > 1:
        listed = ", ".join(f"{one.kind} {one.name}" for one in found)
        raise BadInput("WHAT", what, f"it is {listed}; give more of it")
    if not found:
        raise Missing(
            f"{what}: no revision, release, commit, model, InferenceService, registry version, LoggedModel or record "
            f"of {environment} in the {len(log)} commits of main; digits need at least {SHORTEST} of theirs"
        )
    return found[0]


def _by_digits(history: History, environment: str, what: str, log: list[LoggedCommit]) -> Iterator[Sought]:
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},64}}", what):
        return
    for revision, commits in commits_of_revision(history, environment, what).items():
        yield Sought("revision", revision, commits[0], earlier=tuple(commits[1:]))
    for path in history.paths("HEAD", RECORDS):
        if PurePosixPath(path).stem.startswith(what):
            yield _release(history, environment, "release", path)
    for commit in log:
        if commit.hash.startswith(what):
            yield Sought("commit", commit.hash, commit)


def _by_name(history: History, environment: str, what: str) -> Iterator[Sought]:
    if re.fullmatch(MODEL_NAME, what) and (newest := next(plans(history, environment, what), None)):
        model = newest.plan.model
        yield Sought("model", model, _standing(history, environment, model, newest.commit), model=model)
    for path in history.paths("HEAD", RECORDS):
        slug, release = PurePosixPath(path).parts[-2:]
        if f"{slug}-{release[:8]}" == what:
            yield _release(history, environment, "InferenceService", path)


def _by_record(history: History, environment: str, what: str) -> Iterator[Sought]:
    """By its path, its file's digest, or the registry's version or LoggedModel that it names."""
    if not what.startswith((f"{RECORDS}/", "sha256:", "models:/", _LOGGED_MODEL)):
        return
    for path in history.paths("HEAD", RECORDS):
        data = history.file("HEAD", path) or b""
        if what in (path, digest_bytes(data)):
            yield _release(history, environment, "record", path)
            continue
        observed = parse_record(data, path, PurePosixPath(path).stem).observed
        if observed.registry_uri == what:
            yield _release(history, environment, "registry version", path)
        elif observed.logged_model == what.removeprefix("models:/"):
            yield _release(history, environment, "LoggedModel", path)


def _release(history: History, environment: str, kind: Kind, path: str) -> Sought:
    """As it runs now, or as it was at the newest commit whose plan names it."""
    release = PurePosixPath(path).stem
    model = parse_record(history.file("HEAD", path) or b"", path, release).content.model
    at = next((at for at in plans(history, environment, model) if release in at.plan.releases), None)
    if at is None:
        raise Missing(f"release {release} of {model} is recorded, and no plan of {environment} has named it")
    commit = _standing(history, environment, model, at.commit)
    name = service_name(model, release) if kind == "InferenceService" else release
    return Sought(kind, name, commit, model=model, release=release)


def _standing(history: History, environment: str, model: str, commit: str) -> LoggedCommit:
    """The commit to show for the plan that `commit` brought. Where main still has that plan, other models may have
    moved since: then it is the newest that changed a route, so that the revision is the one that is served."""
    path = plan_path(environment, model)
    changes = history.commits(path, routes_folder(environment))
    if history.file("HEAD", path) == history.file(commit, path):
        return changes[0]
    return next(change for change in changes if change.hash == commit)
