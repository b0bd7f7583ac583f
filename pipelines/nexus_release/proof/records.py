"""A record: its id, its file, what main's history says of it, and whether its verdict follows from its figures."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from nexus_release.digests import digest_bytes
from nexus_release.errors import NexusError
from nexus_release.ports import History
from nexus_release.proof.finding import Finding, first_difference, holds, lies, unproved
from nexus_release.record import Content, Record, parse_record, record_text


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


def verdict(path: str, content: Content) -> Finding:
    """A metric that passed is within its bound, and a release that was accepted passed them all.

    Figures are rounded to 4 digits, the gate saw them whole; rounding keeps their order, so that whatever passed
    passes by the rounded figures too.
    """
    evaluation = content.evaluation
    for metric in evaluation.metrics:
        try:
            within = _within(metric.name, Decimal(metric.low), Decimal(metric.high), Decimal(metric.bound))
        except InvalidOperation:
            return lies("verdict", path, f"{metric.name}: a figure is no number")
        if within is None:
            return unproved("verdict", path, f"{metric.name}: this version knows no such metric")
        if metric.passed and not within:
            figures = f"{metric.low} to {metric.high}, bound {metric.bound}"
            return lies("verdict", path, f"{metric.name} passed with {figures}")
    if evaluation.accepted and not (evaluation.metrics and all(metric.passed for metric in evaluation.metrics)):
        return lies("verdict", path, "it was accepted, and not every metric passed")
    return holds("verdict", path, "accepted" if evaluation.accepted else "refused, as its figures say")


def _within(name: str, low: Decimal, high: Decimal, bound: Decimal) -> bool | None:
    """By the bad end of the interval, as `steps/evaluate.py` holds it."""
    if name == "perplexity":
        return high <= bound
    return low >= bound if name == "agreement" else None
