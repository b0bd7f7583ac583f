"""Holds a repository's objects to the rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import PurePosixPath

from nexus_release.object_rules.exemptions import exempt
from nexus_release.object_rules.rule import Finding, Placed
from nexus_release.object_rules.rules import RULES
from nexus_release.object_rules.together import FOLDER_RULES
from nexus_release.object_rules.traps import TRAPS


def findings(objects: Iterable[Placed]) -> tuple[Finding, ...]:
    """What is broken, in the order of the folders; empty where all is well. Exemptions are left out."""
    placed = sorted(objects, key=lambda one: (one.folder, one.name))
    found = (*_of_each(placed), *_of_all(placed))
    return tuple(one for one in found if not exempt(one))


def _of_each(placed: list[Placed]) -> Iterator[Finding]:
    for one in placed:
        for rule in (*RULES, *TRAPS):
            for fault in rule.check(one.body):
                yield Finding(rule.name, f"{one.folder}: {one.name}", fault)


def _of_all(placed: list[Placed]) -> Iterator[Finding]:
    """An environment is one whole, whatever its folders: its pods and what scales them may be apart."""
    for whole, group in groupby(placed, key=lambda one: _whole(one.folder)):
        bodies = tuple(one.body for one in group)
        for rule in FOLDER_RULES:
            yield from (Finding(rule.name, whole, fault) for fault in rule.check(bodies))


def _whole(folder: str) -> str:
    """`gitops/<env>` of an environment's folder, and any other as it is."""
    parts = PurePosixPath(folder).parts
    apart = len(parts) < 2 or parts[1] in ("argocd", "components", "overlays", "platform")
    return folder if apart else "/".join(parts[:2])
