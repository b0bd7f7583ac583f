"""Holds what is public to SemVer: `check_public.py [ROOT]`.

What the last release (the newest tag `v*` behind HEAD) had of HTTP, configuration, records and the command line must
still be there, unless the version in pyproject.toml is raised by a major step, or below 1.0 by a minor one. Ends with 1
and names each break. Without a release nothing has been promised, which is said.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import command_breaks
import schema_breaks
import variable_breaks

Breaks = Callable[[str, str], list[str]]


def schemas(old: str, new: str) -> list[str]:
    return schema_breaks.breaks(json.loads(old), json.loads(new))


PUBLIC: dict[str, Breaks] = {
    "gateway/openapi.json": schemas,
    "gateway/routes.schema.json": schemas,
    "gateway/log.schema.json": schemas,
    "gateway/audit.schema.json": schemas,
    "environments/schema.json": schemas,
    "gitops/record.schema.json": schemas,
    "docs/reference/cli.md": command_breaks.breaks,
    "docs/reference/settings.md": variable_breaks.breaks,
}


def main(root: Path) -> int:
    tag = _git(root, "describe", "--tags", "--match", "v[0-9]*", "--abbrev=0")
    if tag is None:
        print("public: no release yet, so nothing has been promised")
        return 0
    found = [f"{path}: {line}" for path in PUBLIC for line in _broken(root, tag, path)]
    if not found:
        print(f"public: all that {tag} had is there")
        return 0
    raised = breaking_step(version(_git(root, "show", f"{tag}:pyproject.toml") or ""), version(_text(root)))
    print("\n".join(found), file=sys.stdout if raised else sys.stderr)
    if raised:
        print(f"public: {len(found)} breaks since {tag}, which the version says")
        return 0
    print(
        f"public: {len(found)} breaks since {tag}: bring back what is gone, or raise the version in pyproject.toml "
        "by a major step (below 1.0 a minor one) and tell operators in CHANGELOG.md what to do",
        file=sys.stderr,
    )
    return 1


def breaking_step(old: tuple[int, ...], new: tuple[int, ...]) -> bool:
    """Whether SemVer lets `new` break what `old` promised (semver.org, items 4 and 8)."""
    return new[0] > old[0] or (old[0] == new[0] == 0 and new[1] > old[1])


def version(project: str) -> tuple[int, ...]:
    found = re.search(r'^version = "(\d+)\.(\d+)\.(\d+)"$', project, re.MULTILINE)
    if found is None:
        raise SystemExit('public: pyproject.toml has no line `version = "1.2.3"`')
    return tuple(int(part) for part in found.groups())


def _broken(root: Path, tag: str, path: str) -> list[str]:
    old = _git(root, "show", f"{tag}:{path}")
    if old is None:
        return []
    new = root / path
    return PUBLIC[path](old, new.read_text(encoding="utf-8")) if new.exists() else ["is gone"]


def _text(root: Path) -> str:
    return (root / "pyproject.toml").read_text(encoding="utf-8")


def _git(root: Path, *words: str) -> str | None:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]))
