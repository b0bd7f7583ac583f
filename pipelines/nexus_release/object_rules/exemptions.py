"""Where a rule does not hold, and why."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from nexus_release.object_rules.rule import Finding


@dataclass(frozen=True)
class Exemption:
    rule: str
    where: str
    """Pattern of `folder: Kind name`."""
    reason: str


EXEMPTIONS = (
    Exemption(
        "image-by-digest",
        "gitops/overlays/*",
        "an overlay is for a trial: its image is what IMAGE_REPO and IMAGE_TAG name",
    ),
    Exemption(
        "image-by-digest",
        "gitops/*: Job *-verify",
        "pods.images.release is null until somebody has built it; the name is then that of a loaded image",
    ),
    Exemption(
        "image-by-digest",
        "gitops/local/*",
        "engines of this machine are processes; no image is pulled",
    ),
    Exemption(
        "image-by-digest",
        "gitops/platform/workflows: *",
        "pods.images is null until somebody has built them; the names are then those of loaded images",
    ),
    Exemption(
        "image-by-digest",
        "gitops/platform/mlflow: *",
        "its digest has not been looked up; name it in that folder's kustomization.yaml",
    ),
)


def exempt(finding: Finding) -> bool:
    return any(one.rule == finding.rule and fnmatchcase(finding.where, one.where) for one in EXEMPTIONS)
