"""Kubernetes objects of a repository's folders: as they stand, or as kustomize builds them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from nexus_release.errors import NexusError
from nexus_release.object_rules.rule import Placed

APART = ("argocd", "components", "overlays", "platform")
"""Folders of `gitops/` that are written by hand and built by kustomize; the environments' are one object a file."""
_COMMANDS = (("kustomize", "build"), ("kubectl", "kustomize"))
_SECONDS = 60.0


def kustomize_command() -> tuple[str, ...] | None:
    return next((command for command in _COMMANDS if shutil.which(command[0])), None)


def rendered_objects(root: Path, environment: str) -> Iterator[Placed]:
    """Of an environment's tree. No program is asked: one object stands in each file."""
    for path in sorted((root / "gitops" / environment).glob("*/*.yaml")):
        if path.name != "kustomization.yaml":
            yield Placed(path.parent.relative_to(root).as_posix(), yaml.safe_load(path.read_text(encoding="utf-8")))


def built_objects(root: Path, command: tuple[str, ...]) -> Iterator[Placed]:
    """Of every folder apart that can be built by itself. Raises NexusError where one cannot."""
    for folder in built_folders(root):
        done = subprocess.run([*command, str(root / folder)], capture_output=True, text=True, timeout=_SECONDS)
        if done.returncode:
            raise NexusError(f"{folder}: kustomize cannot build it: {done.stderr.strip()}")
        yield from (Placed(folder, body) for body in yaml.safe_load_all(done.stdout) if body)


def built_folders(root: Path) -> tuple[str, ...]:
    """Components are built by whoever includes them, and never alone."""
    found = []
    for part in APART:
        for path in sorted((root / "gitops" / part).rglob("kustomization.yaml")):
            if yaml.safe_load(path.read_text(encoding="utf-8")).get("kind") != "Component":
                found.append(path.parent.relative_to(root).as_posix())
    return tuple(found)
