"""What the gateway's console shows of Git on this machine: of the commit that is applied, and swapped in one step."""

from __future__ import annotations

import shutil
from pathlib import Path

from nexus_release.local.paths import Paths

_PARTS = ("environments", "gitops/releases", "gitops/evidence")


def keep_shown(paths: Paths, commit: str, tree: Path) -> None:
    """Sets a checkout's parts aside, for `show`. A crash leaves at most a folder aside."""
    folder, draft = paths.local / f"shown-{commit}", paths.local / f".shown-{commit}"
    if folder.exists():
        return
    shutil.rmtree(draft, ignore_errors=True)
    (draft / "gitops").mkdir(parents=True)  # by which the console knows a checkout, also before the first release
    for part in _PARTS:
        if (tree / part).is_dir():
            shutil.copytree(tree / part, draft / part)
    draft.rename(folder)


def show(paths: Paths, commit: str) -> None:
    """From now on, and what was shown before goes."""
    fresh = paths.local / ".shown.link"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(f"shown-{commit}")
    fresh.replace(paths.shown)
    for folder in paths.local.glob("shown-*"):
        if folder.name != f"shown-{commit}":
            shutil.rmtree(folder)
