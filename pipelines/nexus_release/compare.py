"""How two releases differ: in data, base, code, recipe, artifact, and what the gates have found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal, get_args

from nexus_release.digests import canonical_json, digest_bytes
from nexus_release.errors import DigestMismatch, Missing
from nexus_release.frozen import Frozen
from nexus_release.ports import History, Repository, Store
from nexus_release.proof.sources import Sources
from nexus_release.record import Content, Figure, Record, parse_record
from nexus_release.sought import RECORDS
from nexus_release.steps.train import read_rows
from nexus_release.verify import chosen

Part = Literal["model", "data", "base", "code", "recipe", "artifact", "gates"]
_PARTS: tuple[Part, ...] = get_args(Part)
_FILES_SHOWN = 20


class Difference(Frozen):
    part: Part
    name: str
    one: str
    """Empty where the first release has no such thing."""
    other: str


class Compared(Frozen):
    one: str
    other: str
    differences: tuple[Difference, ...]
    """Empty where one release id was compared with itself."""


def compare(repository: Repository, store: Store, one: str, other: str) -> Compared:
    """Two releases of main by the beginnings of their ids. Rows and files are told where store and history have them.

    Raises BadInput, Missing, or DigestMismatch for a record that is not what its id says.
    """
    with repository.history() as history:
        first, second = (_record(history, prefix) for prefix in (one, other))
        differences = [
            *_fields(first[1].content, second[1].content),
            *_rows(store, first[1].content, second[1].content),
            *_code(history, first[1], second[1]),
        ]
    differences.sort(key=lambda found: _PARTS.index(found.part))
    return Compared(one=first[0], other=second[0], differences=tuple(differences))


def lines(found: Compared) -> list[str]:
    told = [f"one    {found.one}", f"other  {found.other}"]
    part = ""
    for one in found.differences:
        if one.part != part:
            part = one.part
            told.append(part)
        told.append(f"  {one.name}: {one.one or '(none)'} -> {one.other or '(none)'}")
    return [*told, "they are the same release"] if not found.differences else told


def _record(history: History, prefix: str) -> tuple[str, Record]:
    (path,) = chosen(history.paths("HEAD", RECORDS), prefix)
    release = PurePosixPath(path).stem
    return release, parse_record(history.file("HEAD", path) or b"", path, release)


def _fields(one: Content, other: Content) -> Iterator[Difference]:
    for part in _PARTS:
        before, after = _said(one, part), _said(other, part)
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                yield Difference(part=part, name=name, one=before.get(name, ""), other=after.get(name, ""))


def _said(content: Content, part: Part) -> dict[str, str]:
    """Everything that the record says of one part, by name."""
    if part == "data":
        return {name: str(value) for name, value in content.dataset}
    if part == "recipe":
        return dict(content.recipe)
    if part == "gates":
        return _gates(content)
    return {
        "model": {"name": content.model},
        "base": {"digest": content.base, "source": content.base_source}
        | {f"shape.{name}": str(value) for name, value in content.shape},
        "code": {"steps": content.code.steps, "packages": content.code.environment},
        "artifact": {name: str(value) for name, value in content.artifact},
    }[part]


def _gates(content: Content) -> dict[str, str]:
    told: dict[str, str] = {}
    for result in content.gates:
        told |= {f"{result.gate}.settings.{name}": value for name, value in result.settings.items()}
        told[f"{result.gate}.verdict"] = f"{'accepted' if result.accepted else 'refused'}: {result.reason}"
        told[f"{result.gate}.evidence"] = result.evidence
        for figure in result.figures:
            told[f"{result.gate}.{figure.name}{_of(figure)}"] = _figure(figure)
    return told | {f"evaluation.{name}": str(value) for name, value in content.evaluation}


def _of(figure: Figure) -> str:
    """A task is asked again in another release; which tensor is worst is part of what was found."""
    return f" of {figure.subject}" if figure.name == "accuracy" else ""


def _figure(figure: Figure) -> str:
    sides = f"{figure.candidate}, base {figure.base}: " if figure.base else ""
    interval = "" if figure.low == figure.high else f" ({figure.low} to {figure.high})"
    return f"{sides}{figure.value}{interval}{'' if _of(figure) or not figure.subject else f' of {figure.subject}'}"


def _rows(store: Store, one: Content, other: Content) -> Iterator[Difference]:
    """How many rows only one of them has."""
    if one.dataset.digest == other.dataset.digest:
        return
    try:
        before, after = (_contents(store, content.dataset.digest) for content in (one, other))
    except (Missing, DigestMismatch):
        return  # the digests above say that they differ; what in them is for where the store is
    yield Difference(
        part="data",
        name="rows that the other has not",
        one=str(len(before - after)),
        other=str(len(after - before)),
    )


def _contents(store: Store, digest: str) -> set[str]:
    folder = store.get(digest)
    rows = [row for name in ("train.jsonl", "holdout.jsonl") for row in read_rows(folder / name)]
    return {digest_bytes(canonical_json(row["messages"])) for row in rows}


def _code(history: History, one: Record, other: Record) -> Iterator[Difference]:
    """Which files of the steps' code differ, where main's history has both."""
    if one.content.code.steps == other.content.code.steps:
        return
    sources = Sources(history)
    before, after = (sources.commit_of(record.content.code.steps, record.observed.commit) for record in (one, other))
    if before is None or after is None:
        return
    old, new = sources.files(before), sources.files(after)
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    for name in changed[:_FILES_SHOWN]:
        yield Difference(part="code", name=name, one=_at(before, name in old), other=_at(after, name in new))
    if more := changed[_FILES_SHOWN:]:
        yield Difference(part="code", name=f"and {len(more)} more files", one=before[:12], other=after[:12])


def _at(commit: str, there: bool) -> str:
    return f"commit {commit[:12]}" if there else ""
