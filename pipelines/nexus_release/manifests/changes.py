"""What a proposal may change: checks between the tree before it and the tree after it.

Sync waves do not order across Argo CD Applications, and a model's InferenceServices are in another Application than
the gateway's routes. So traffic and its target never change in one commit:

- expand: what gets traffic was there before. A release enters a plan without weight first.
- shift: the weight moves, and both sides of it run before and after.
- contract: what had traffic before is still there after. It goes in a later commit, once its weight is 0.

A model's first release, and the withdrawal of a whole model, are exempt: nobody is moved from one target to another. A
canary's step (canary/step.py) does what the evidence says that it brings, and nothing else.
"""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import ValidationError

from nexus_release.canary.evidence import EVIDENCE
from nexus_release.canary.proved import step_faults
from nexus_release.data_declaration import expired, today
from nexus_release.documents import parse_yaml, read_yaml
from nexus_release.errors import BadInput, NexusError
from nexus_release.manifests.gateway import POLICIES_FILE, ROUTES_FOLDER, shares
from nexus_release.manifests.tree import Inputs, differences, load_inputs, render, tree_path
from nexus_release.plan import read_plans
from nexus_release.record import Record, parse_record, record_path, record_text
from nexus_release.terminal import plain_line

RECORDS = "gitops/releases/"
Only = Literal["canary-step"]
Traffic = Mapping[str, Mapping[str, int]]
"""Model's slug -> InferenceService -> percent above 0."""


def refusals(before: Path, after: Path, environment: str, *, only: Only | None = None) -> tuple[str, ...]:
    """Why the change from one repository tree to another may not land in `environment`; empty where it may. `only`:
    what the one who asks may do at most."""
    changed = changed_paths(before, after)
    found = [*_outside(changed, environment), *_records(before, after, changed), *_hidden(after, changed)]
    try:
        if any(path.startswith(EVIDENCE) for path in changed):
            found += step_faults(before, after, environment, changed)
        elif only == "canary-step":
            found.append("a canary's step brings its evidence, and this change brings none")
        inputs = load_inputs(after, environment)
        files = render(inputs)
        found += _not_rendered(after, environment, files)
        found += _without_evidence(inputs)
        found += _past_retention(before, inputs)
        found += _moves(before, environment, files)
    except NexusError as error:
        found.append(str(error))
    return tuple(plain_line(fault) for fault in found)


def changed_paths(before: Path, after: Path) -> tuple[str, ...]:
    """Files that differ in presence, kind or bytes, sorted; `.git` is passed over."""
    old, new = set(_files(before)), set(_files(after))
    same = (path for path in old & new if _equal(before / path, after / path))
    return tuple(sorted((old | new) - set(same)))


def _outside(changed: tuple[str, ...], environment: str) -> Iterator[str]:
    allowed = re.compile(
        rf"environments/{re.escape(environment)}/models/[^/]+\.yaml|{RECORDS}[^/]+/[0-9a-f]{{64}}\.json"
        rf"|{EVIDENCE}{re.escape(environment)}/[^/]+/[0-9a-f]{{64}}\.json|{re.escape(tree_path(environment))}/.+"
    )
    for path in changed:
        if not allowed.fullmatch(path):
            meant = f"plans, records, evidence and {tree_path(environment)}/"
            yield f"{path}: a proposal for {environment} changes {meant} only"


def _records(before: Path, after: Path, changed: tuple[str, ...]) -> Iterator[str]:
    for path in changed:
        if not path.startswith(RECORDS):
            continue
        if os.path.lexists(before / path):
            yield f"{path}: records are append-only; a release that is made anew has another id"
        elif (fault := _record_fault(after, path)) is not None:
            yield fault


def _hidden(after: Path, changed: tuple[str, ...]) -> Iterator[str]:
    """Values that are not what they seem: a key twice, a second document, characters that cannot be seen."""
    for path in changed:
        if path.endswith(".yaml") and (after / path).is_file():
            try:
                read_yaml(after, path)
            except BadInput as error:
                yield str(error)


def _record_fault(root: Path, path: str) -> str | None:
    release = PurePosixPath(path).stem
    try:
        data = (root / path).read_bytes()
        model = Record.model_validate_json(data).content.model
        record = parse_record(data, path, release)
    except (ValidationError, OSError) as error:
        return f"{path}: no release record: {str(error).splitlines()[0]}"
    except NexusError as error:
        return str(error)
    if record_text(record).encode() != data:
        return f"{path}: not as Nexus writes a record; a key that stands twice would hide a value"
    expected = record_path(model, release)
    return None if expected == path else f"{path}: the record of {model} belongs at {expected}"


def _not_rendered(after: Path, environment: str, files: Mapping[str, str]) -> Iterator[str]:
    for path in differences(after, environment, files):
        yield f"{path}: not what the plans render; run `nexus render {environment}`"


def _without_evidence(inputs: Inputs) -> Iterator[str]:
    for release, record in sorted(inputs.records.items()):
        if not record.content.accepted:
            yield f"{record.content.model}: release {release} did not pass its gates"


def _past_retention(before: Path, inputs: Inputs) -> Iterator[str]:
    """Of what enters the environment. What is there already may move and go: no rollback is barred by a date."""
    there = {release for plan in read_plans(before, inputs.environment).values() for release in plan.releases}
    for release, record in sorted(inputs.records.items()):
        declared = record.content.dataset.declaration
        if release not in there and declared and expired(declared, on=today()):
            yield f"{record.content.model}: release {release}: its data had to be deleted after {declared.delete_after}"


def _moves(before: Path, environment: str, files: Mapping[str, str]) -> Iterator[str]:
    """Expand before shift, shift before contract."""
    old, new = _traffic_of_tree(before, environment), _traffic_of_files(environment, files)
    for slug in sorted(old.keys() & new.keys()):
        folder = f"{tree_path(environment)}/{slug}"
        for service, percent in sorted(new[slug].items()):
            if not (before / folder / f"{service}.yaml").is_file():
                yield f"{folder}/{service}.yaml: would get {percent} % and is not up yet; admit it at weight 0 first"
        for service, percent in sorted(old[slug].items()):
            if f"{folder}/{service}.yaml" not in files:
                yield f"{folder}/{service}.yaml: has {percent} % and would go; shift its weight to 0 first"


def _traffic_of_tree(root: Path, environment: str) -> Traffic:
    folder = root / tree_path(environment) / "gateway" / ROUTES_FOLDER
    return {
        path.stem: _shares(path.read_bytes(), path.relative_to(root).as_posix())
        for path in folder.glob("*.yaml")
        if path.name != POLICIES_FILE
    }


def _traffic_of_files(environment: str, files: Mapping[str, str]) -> Traffic:
    folder = PurePosixPath(tree_path(environment), "gateway", ROUTES_FOLDER)
    return {
        PurePosixPath(path).stem: _shares(text.encode(), path)
        for path, text in files.items()
        if PurePosixPath(path).parent == folder and PurePosixPath(path).name != POLICIES_FILE
    }


def _shares(data: bytes, where: str) -> Mapping[str, int]:
    document = parse_yaml(data, where)
    try:
        return shares(document)  # type: ignore[arg-type]  # a document of another shape is what is caught here
    except (AssertionError, AttributeError, KeyError, TypeError):
        raise BadInput(where, document, "render it anew: it is no route file of `nexus render`") from None


def _files(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        if Path(folder) == root and ".git" in folders:
            folders.remove(".git")
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in (*names, *links):
            yield (Path(folder) / name).relative_to(root).as_posix()


def _equal(one: Path, other: Path) -> bool:
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and one.readlink() == other.readlink()
    return filecmp.cmp(one, other, shallow=False)
