"""The repository under test, as files."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = {
    "nexus_release": ROOT / "pipelines" / "nexus_release",
    "nexus_gateway": ROOT / "gateway" / "nexus_gateway",
    "nexus_client": ROOT / "gateway" / "nexus_client",
    "nexus_terminal": ROOT / "pipelines" / "nexus_terminal",
    "nexus_worker": ROOT / "serving" / "worker" / "nexus_worker",
}


def sources(package: str) -> list[Path]:
    return sorted(PACKAGES[package].rglob("*.py"))


def module_name(path: Path) -> str:
    package = next(name for name, folder in PACKAGES.items() if path.is_relative_to(folder))
    parts = path.relative_to(PACKAGES[package].parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tracked_files() -> list[Path]:
    """Files that Git tracks, or would if asked now: what a clone will hold."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return sorted(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())
