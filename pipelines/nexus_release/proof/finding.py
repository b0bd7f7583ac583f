"""What was found about one link of a release's chain."""

from __future__ import annotations

from typing import Literal

from nexus_release.frozen import Frozen

State = Literal["holds", "lies", "unproved"]
"""`unproved`: what would prove it is not here; nothing speaks against it."""


class Finding(Frozen):
    link: str
    """What kind of link: record, history, trailer, verdict, retention, plan, tree, artifact, base, bill, dataset,
    evidence, fit, suite, code, packages, registry, signature."""
    subject: str
    """The file, entry or version that was looked at."""
    state: State
    detail: str


def holds(link: str, subject: str, detail: str = "") -> Finding:
    return Finding(link=link, subject=subject, state="holds", detail=detail)


def lies(link: str, subject: str, detail: str) -> Finding:
    return Finding(link=link, subject=subject, state="lies", detail=detail)


def unproved(link: str, subject: str, detail: str) -> Finding:
    return Finding(link=link, subject=subject, state="unproved", detail=detail)


def first_difference(truth: bytes, found: bytes) -> str:
    """Where two texts part, for people; empty where they are the same. Bytes count from 0, lines from 1."""
    if truth == found:
        return ""
    at = next((i for i, (a, b) in enumerate(zip(truth, found, strict=False)) if a != b), min(len(truth), len(found)))
    line = truth.count(b"\n", 0, at) + 1
    return f"byte {at} (line {line}) is {_shown(found, at)} and was {_shown(truth, at)}"


def _shown(data: bytes, at: int) -> str:
    return repr(data[at : at + 1].decode("latin-1")) if at < len(data) else "the end"
