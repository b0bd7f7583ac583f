"""Releases whose data has passed its retention: where they are still served, and what must be deleted of them.

Nothing is deleted here. What a model has learnt of data is in its weights, so with the rows go the checkpoints that
were made of them and the evidence that shows some; the record stays, which holds digests and no rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from nexus_release.data_declaration import expired
from nexus_release.frozen import Frozen
from nexus_release.lineage import Descent, Serving


class Due(Frozen):
    """A release whose data may no longer be kept."""

    model: str
    release: str
    owner: str
    delete_after: date
    serving: tuple[Serving, ...]
    """Where it must be taken from the plans first."""
    entries: tuple[str, ...]
    """Of the store, to delete: rows, checkpoint, artifact, bill of materials, evidence."""
    shared: tuple[str, ...]
    """Entries that a release also names whose data may be kept: they stay."""
    registered: str
    """The registry's version, to delete with its run's artifacts."""


class Retention(Frozen):
    on: date
    """The day that was asked for."""
    due: tuple[Due, ...]
    undeclared: tuple[str, ...]
    """Releases of whose data nothing is declared; nobody can say when it must go."""


def retention(descents: Sequence[Descent], on: date, environment: str | None = None) -> Retention:
    """With an environment, only of what its plans name; what is shared is told from all."""
    past = [one for one in descents if expired(one.record.content.dataset.declaration, on)]
    kept = {entry for one in descents if one not in past for entry in _entries(one)}
    chosen = [one for one in past if _in(one, environment)]
    return Retention(
        on=on,
        due=tuple(due for one in chosen if (due := _due(one, kept))),
        undeclared=tuple(
            one.release for one in descents if one.record.content.dataset.declaration is None and _in(one, environment)
        ),
    )


def lines(found: Retention) -> list[str]:
    told = [line for due in found.due for line in _lines(due)]
    if found.undeclared:
        told.append(f"{len(found.undeclared)} releases declare nothing of their data: {', '.join(found.undeclared)}")
    return [*told, f"{len(found.due)} releases are past the retention of their data on {found.on}"]


def _due(one: Descent, kept: set[str]) -> Due | None:
    content = one.record.content
    declared = content.dataset.declaration
    if declared is None or declared.delete_after is None:
        return None
    return Due(
        model=content.model,
        release=one.release,
        owner=declared.owner,
        delete_after=declared.delete_after,
        serving=one.serving,
        entries=tuple(sorted(_entries(one) - kept)),
        shared=tuple(sorted(_entries(one) & kept)),
        registered=one.record.observed.registry_uri,
    )


def _entries(one: Descent) -> set[str]:
    content = one.record.content
    evidence = {result.evidence for result in content.gates}
    return {content.dataset.digest, content.base, content.artifact.digest, content.bill_of_materials} | evidence


def _in(one: Descent, environment: str | None) -> bool:
    return environment is None or any(serving.environment == environment for serving in one.serving)


def _lines(due: Due) -> Iterable[str]:
    yield f"{due.model} {due.release}: its data had to be deleted after {due.delete_after}; {due.owner} answers for it"
    for one in due.serving:
        yield f"  serves   in {one.environment}, {one.role}, {one.weight} % of the traffic: take it from the plan first"
    yield from (f"  delete   {entry}" for entry in due.entries)
    yield from (f"  keep     {entry}, which another release also has" for entry in due.shared)
    yield f"  delete   {due.registered} from the registry, with its run's artifacts"
