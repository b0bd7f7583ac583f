"""A pull request as Git has it: main as it is, main as it would be, and what kind of change lies between."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nexus_release.canary.evidence import evidence_folder
from nexus_release.manifests.changes import RECORDS
from nexus_release.manifests.tree import tree_path
from nexus_release.names import model_slug
from nexus_release.ports import History
from nexus_release.proposals import own_paths

Kind = Literal["model", "policies", "code", "nothing"]
FILE = "100644"
"""Git's mode of a plain file that is no program."""

_PLAN = re.compile(r"environments/([^/]+)/models/([^/]+)\.yaml")
_POLICIES = re.compile(r"environments/([^/]+)/polic(?:ies|y-tests)\.yaml")
_MADE = re.compile(rf"gitops/(?!argocd/|overlays/|components/|platform/).+|{RECORDS}.+")


@dataclass(frozen=True)
class Pull:
    before: Path
    """Main's files."""
    after: Path
    """Main's files once the branch is merged."""
    base: str
    """Main's commit."""
    head: str
    """The branch's."""
    modes: Mapping[str, str]
    """Changed path -> Git's mode of it afterwards, six zeros where it is gone."""
    history: Callable[[str], AbstractContextManager[History]]
    """Of a commit."""


@dataclass(frozen=True)
class Subject:
    """What a change of a model is about."""

    environment: str
    slug: str


def kind_of(paths: Collection[str]) -> Kind:
    """A change of what machines write alone is judged as a model's, in which nothing is written by hand."""
    if not paths:
        return "nothing"
    if any(not (_PLAN.fullmatch(path) or _POLICIES.fullmatch(path) or _MADE.fullmatch(path)) for path in paths):
        return "code"
    return "policies" if any(_POLICIES.fullmatch(path) for path in paths) else "model"


def subjects_of(paths: Collection[str]) -> tuple[Subject, ...]:
    found = (_PLAN.fullmatch(path) for path in sorted(paths))
    return tuple(Subject(plan[1], plan[2]) for plan in found if plan)


def policy_environments(paths: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted({found[1] for path in paths if (found := _POLICIES.fullmatch(path))}))


def belongs(path: str, subject: Subject, model: str) -> bool:
    """Whether a change of this model's plan may touch the path."""
    own = (
        *own_paths(subject.environment, model),
        f"{RECORDS}{model_slug(model)}/",
        f"{evidence_folder(subject.environment, model)}/",
    )
    return any(path == one or (one.endswith("/") and path.startswith(one)) for one in own)


def belongs_to_policies(path: str, environment: str) -> bool:
    return bool(_POLICIES.fullmatch(path)) or path.startswith(f"{tree_path(environment)}/gateway/")
