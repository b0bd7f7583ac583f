"""What the store holds of a release: the artifact, its base, the dataset, and the rows that it was evaluated on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nexus_release.code import steps_digest
from nexus_release.errors import DigestMismatch, Missing
from nexus_release.ports import Store
from nexus_release.proof.finding import Finding, holds, lies, unproved
from nexus_release.record import Content
from nexus_release.steps.evaluate import choose, suite_digest
from nexus_release.steps.train import read_rows


def stored(content: Content, store: Store) -> Iterator[Finding]:
    """Hashes every byte anew. What the store does not have is unproved: another machine made it."""
    for link, digest in (("artifact", content.artifact.digest), ("base", content.base)):
        yield _entry(link, digest, store)[1]
    dataset, finding = _entry("dataset", content.dataset.digest, store)
    yield finding
    if dataset is not None:
        yield from _rows(content, dataset)


def _entry(link: str, digest: str, store: Store) -> tuple[Path | None, Finding]:
    try:
        return store.get(digest), holds(link, digest, "every byte hashed")
    except Missing:
        return None, unproved(link, digest, "this store does not hold it")
    except DigestMismatch as error:
        return None, lies(link, digest, str(error))


def _rows(content: Content, dataset: Path) -> Iterator[Finding]:
    try:
        train, holdout = (read_rows(dataset / name) for name in ("train.jsonl", "holdout.jsonl"))
        chosen = choose(holdout, int(content.evaluation.gate["max_rows"]))
    except (OSError, ValueError, KeyError, TypeError) as error:  # a record may name any entry, and any gate
        yield lies("dataset", content.dataset.digest, f"its rows cannot be read as ours: {type(error).__name__}")
        return
    rows = len(train) + len(holdout)
    if rows != content.dataset.rows:
        yield lies("dataset", content.dataset.digest, f"it has {rows} rows, the record says {content.dataset.rows}")
    if content.code.steps != steps_digest():
        yield unproved("suite", content.evaluation.suite, "other code chose its rows")
        return
    suite = suite_digest(chosen)
    if suite != content.evaluation.suite:
        yield lies("suite", content.evaluation.suite, f"its held-out rows give {suite}")
    else:
        yield holds("suite", suite, "chosen anew from the held-out rows")
