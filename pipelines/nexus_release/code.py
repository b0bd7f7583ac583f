"""Digests of the code and of the environment that make a release: the same of both give the same release id."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from nexus_release.digests import digest_file, digest_json
from nexus_release.errors import Missing

DISTRIBUTION = "nexus-platform"
EXTRAS = ("release", "train", "worker")
"""What the steps import; the gateway's and the orchestrators' extras make no release."""

_AFTERWARDS = frozenset({
    *("cli.py", "commands", "demo", "doctor", "local", "manifests", "monitoring", "promotion"),
    *("aliases.py", "compare.py", "evidence", "explain.py", "history.py", "mirror.py", "proof"),
    *("policies.py", "sought.py", "summary.py", "verify.py"),
})  # fmt: skip
# These show, prove, render or serve a release that is made already. Everything else counts, new files too: a digest
# that changes too often costs a run, one that changes too seldom would pass off old results as new.


@cache
def steps_digest() -> str:
    """Digest of the library's own source files that make a release."""
    root = Path(__file__).parent
    return sources_digest({path.relative_to(root).as_posix(): digest_file(path) for path in root.rglob("*.py")})


def sources_digest(files: Mapping[str, str]) -> str:
    """Digest of `[path, digest]` sorted by path. `files` has every Python file of the library; those that make no
    release are passed over."""
    return digest_json([[path, files[path]] for path in sorted(files) if path.split("/")[0] not in _AFTERWARDS])


@cache
def environment_digest() -> str:
    """Digest of Python's minor version and of `name==version` of everything that the steps can import.

    Raises Missing where Nexus itself is not installed, since only its metadata say what it needs.
    """
    return digest_json(sorted(environment()))


def environment() -> set[str]:
    """`name==version` of the installed closure of the extras above, with markers applied to this machine."""
    python = f"python=={sys.version_info.major}.{sys.version_info.minor}"
    return {python} | {
        f"{_normal(found.name)}=={found.version}"
        for found in _closure(DISTRIBUTION, EXTRAS)
        if found.name != DISTRIBUTION
    }


def _closure(name: str, extras: Iterable[str]) -> Iterator[Distribution]:
    """Every installed distribution that `name[extras]` asks for, each once; what is not installed is passed over,
    because a requirement may be another platform's or be left out on purpose."""
    try:
        distribution(name)
    except PackageNotFoundError:
        raise Missing(f"{name} is not installed here: run `make setup`") from None
    seen: set[tuple[str, str]] = set()
    given: set[str] = set()
    waiting = [(name, extra) for extra in ("", *extras)]
    while waiting:
        asked = waiting.pop()
        if asked in seen:
            continue
        seen.add(asked)
        try:
            found = distribution(asked[0])
        except PackageNotFoundError:
            continue
        if asked[0] not in given:
            given.add(asked[0])
            yield found
        waiting += _required(found, asked[1])


def _required(found: Distribution, extra: str) -> Iterator[tuple[str, str]]:
    from packaging.requirements import Requirement

    for text in found.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            for wanted in ("", *requirement.extras):
                yield _normal(requirement.name), wanted


def _normal(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()
