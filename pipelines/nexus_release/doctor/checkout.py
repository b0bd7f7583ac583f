"""Whether the checkout, what is installed and what is rendered go together, and whether its remote answers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from nexus_release.config import environment_names, load_settings
from nexus_release.doctor.finding import Finding, Look, absent, fail, ok, warn
from nexus_release.errors import NexusError
from nexus_release.manifests.overlays import OVERLAYS, overlays
from nexus_release.manifests.tree import compare, load_inputs, render
from nexus_release.ports import Repository

_NAMED = 5  # of what differs; the rest is counted


def checkout(root: Path, repository: Repository, remote: str) -> list[Look]:
    """`remote` is shown, so it has no password."""
    if not (root / "pyproject.toml").exists() or not (root / "environments").is_dir():
        said = f"{root.absolute()} is no checkout of Nexus: nothing of its files is looked at"
        only = Look("checkout", lambda: iter([absent("checkout", said, "go there, or say --root FOLDER")]))
        return [only, Look("remote", lambda: _remote(repository, remote))]
    return [
        Look("code", lambda: _code(root)),
        Look("lock", lambda: _lock(root)),
        Look("settings", lambda: _settings(root)),
        Look("tree", lambda: _tree(root), "mend the file that it names, then `nexus render`"),
        Look("remote", lambda: _remote(repository, remote)),
    ]


def _code(root: Path) -> Iterator[Finding]:
    """Which Python runs, and whose code."""
    runs, here = Path(__file__).resolve().parents[3], root.resolve()
    if runs != here and not Path(__file__).resolve().is_relative_to(here):
        yield warn(
            "code",
            f"this `nexus` runs the code of {runs}, and not that of {here}",
            "use .venv/bin/nexus of this checkout",
        )
    elif sys.prefix == sys.base_prefix:
        mend = "`make setup`, then `. .venv/bin/activate`"
        yield warn("code", f"it runs in the system's own Python at {sys.prefix}, which nothing pins", mend)
    else:
        yield ok("code", f"of this checkout, in {sys.prefix}")


def _lock(root: Path) -> Iterator[Finding]:
    """Every pin of the lock for a laptop, held against what this Python can import."""
    file = root / "requirements" / "run.txt"
    pinned = pins(file.read_text(encoding="utf-8"))
    wrong = sorted(differing(pinned))
    if wrong:
        said = f"{len(wrong)} of {len(pinned)} packages are not as requirements/run.txt pins them: {_some(wrong)}"
        yield fail("lock", said, "`make setup` (`make setup-dev` where you test)")
    else:
        yield ok("lock", f"{len(pinned)} packages as requirements/run.txt pins them")


def pins(lock: str) -> dict[str, str]:
    """Package -> version, of those lines whose marker holds on this machine."""
    from packaging.requirements import Requirement

    lines = (line.removesuffix("\\").strip() for line in lock.splitlines() if line and line[0] not in " #")
    asked = [Requirement(line) for line in lines]
    return {
        one.name: next(iter(one.specifier)).version
        for one in asked
        if one.specifier and (one.marker is None or one.marker.evaluate())
    }


def differing(pinned: Mapping[str, str]) -> Iterator[str]:
    for name, version in pinned.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "missing"
        if found.partition("+")[0] != version.partition("+")[0]:  # a local build, such as torch's +cpu, is that version
            yield f"{name} {version} ({found})"


def _settings(root: Path) -> Iterator[Finding]:
    for name in environment_names(root):
        try:
            settings = load_settings(root, name)
        except NexusError as error:
            mend = "environments/schema.json has every field; an editor shows them"
            yield fail(f"settings of {name}", str(error), mend)
        else:
            yield ok(f"settings of {name}", f"they are valid; namespace {settings.namespace}")


def _tree(root: Path) -> Iterator[Finding]:
    for name in environment_names(root):
        yield from _rendered(root, name)
    stale = compare(root, OVERLAYS, overlays(root))
    if stale:
        yield _stale(f"gitops/{OVERLAYS}", stale)


def _rendered(root: Path, name: str) -> Iterator[Finding]:
    what = f"gitops/{name}"
    try:
        files = render(load_inputs(root, name))
    except NexusError as error:
        yield fail(what, str(error), "mend the file that it names, then `nexus render` and commit")
        return
    changed = compare(root, name, files)
    yield _stale(what, changed) if changed else ok(what, f"{len(files)} files, as their sources give them")


def _stale(what: str, changed: Mapping[str, str]) -> Finding:
    told = [f"{path} {change}" for path, change in changed.items()]
    return fail(what, f"it does not follow from its sources: {_some(told)}", "`nexus render`, and commit")


def not_made(remote: str) -> bool:
    """The laptop's own, before the first `make demo` or `nexus up`."""
    return remote.startswith("/") and not Path(remote).exists()


def _remote(repository: Repository, remote: str) -> Iterator[Finding]:
    if not_made(remote):
        yield absent("remote", f"there is none at {remote} yet", "`make demo` makes one, or name yours by NEXUS_REMOTE")
        return
    try:
        yield ok("remote", f"main of {remote} is at {repository.head()[:12]}")
    except NexusError as error:
        mend = "look at NEXUS_REMOTE, its host and your credential: `git ls-remote` asks the same"
        yield fail("remote", str(error), mend)


def _some(what: list[str]) -> str:
    more = len(what) - _NAMED
    return ", ".join(what[:_NAMED]) + (f" and {more} more" if more > 0 else "")
