"""A record: its id, its file, what main's history says of it, and whether its verdict follows from its figures."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import InvalidOperation

from nexus_release.digests import digest_bytes
from nexus_release.errors import NexusError
from nexus_release.gates import told, within
from nexus_release.ports import History
from nexus_release.proof.finding import Finding, first_difference, holds, lies, unproved
from nexus_release.record import Content, GateResult, Record, parse_record, record_text


def read(path: str, release: str, data: bytes) -> tuple[Record | None, Finding]:
    """The record and whether its content has its id; None where there is no telling what it says."""
    try:
        record = parse_record(data, path, release)
    except NexusError as error:
        return None, lies("record", path, str(error))
    difference = first_difference(record_text(record).encode(), data)
    if difference:
        return record, lies("record", path, f"it is not written as Nexus writes it: {difference}")
    return record, holds("record", path, "its content has its id")


def unchanged(path: str, data: bytes, history: History) -> Iterator[Finding]:
    """Records are append-only, so the commit that brought one is the truth of its bytes; its trailers name them."""
    brought = history.commits(path)
    if not brought:
        yield unproved("history", path, "no commit within the history that is read brought it")
        return
    first = brought[-1]
    original = history.file(first.hash, path)
    difference = first_difference(original or b"", data)
    if difference:
        by = next((one.hash for one in reversed(brought) if history.file(one.hash, path) != original), brought[0].hash)
        yield lies(
            "history", path, f"{difference}; commit {by[:12]} changed it, which commit {first.hash[:12]} brought"
        )
    else:
        yield holds("history", path, f"as commit {first.hash[:12]} brought it")
    said = first.trailers.get("Nexus-Record")
    if said is None:
        yield unproved("trailer", path, f"commit {first.hash[:12]} has no trailer Nexus-Record")
    elif said != digest_bytes(data):
        yield lies("trailer", path, f"commit {first.hash[:12]} names {said}, the file is {digest_bytes(data)}")
    else:
        yield holds("trailer", path, f"commit {first.hash[:12]} names these bytes")


def in_time(path: str, record: Record) -> Finding:
    """Whether the data might still be kept when the record was made."""
    declared, made = record.content.dataset.declaration, record.observed.time[:10]
    if declared is None:
        return unproved("retention", path, "nothing is declared of its data")
    if declared.delete_after and declared.delete_after.isoformat() < made:
        return lies("retention", path, f"made on {made} of data that had to be deleted after {declared.delete_after}")
    return holds("retention", path, f"made on {made}, data kept until {declared.delete_after or 'no stated day'}")


def verdict(path: str, content: Content) -> Iterator[Finding]:
    """Of each gate: a figure that passed is within its bounds, and a gate that accepted passed them all."""
    for result in content.gates:
        subject = f"{path}: {result.gate}"
        yield _verdict(subject, result)


def _verdict(subject: str, result: GateResult) -> Finding:
    for figure in result.figures:
        try:
            passes = within(figure)
        except InvalidOperation:
            return lies("verdict", subject, f"{figure.name}: a figure is no number")
        if figure.passed != passes:
            return lies("verdict", subject, f"{told(figure)}: it says {'passed' if figure.passed else 'failed'}")
    if result.accepted and not (result.figures and all(figure.passed for figure in result.figures)):
        return lies("verdict", subject, "it was accepted, and not every figure passed")
    return holds("verdict", subject, "accepted" if result.accepted else "refused")
