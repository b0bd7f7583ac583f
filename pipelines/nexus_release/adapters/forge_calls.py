"""What the three forges have in common: how a pull request is found or opened, and which answers are tried again.

Failure policy: what does not answer, answers with 5xx or asks to wait is tried a bounded number of times with short
pauses, however long the forge asks to wait (Unreachable). Any other no is final: RemoteRefused, or Missing for 404. The
branch is pushed before a forge is asked, so that whatever fails here costs the text and not the change.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from nexus_release.errors import Conflict, Missing, NexusError, RemoteRefused, Unreachable
from nexus_release.ports import Opened
from nexus_release.terminal import plain_line

TRIES = 3
PAUSE = 1.0  # seconds before the second try, doubled before the third
TIMEOUT = 20.0  # seconds of one call
_WORDS = 300  # characters of what a forge said that an error repeats

T = TypeVar("T")
P = TypeVar("P")


@dataclass(frozen=True)
class Calls(Generic[P]):
    """One forge's own calls about one branch. `open` raises Conflict where the branch has a pull request already."""

    find: Callable[[], P | None]
    """The open one."""
    open: Callable[[], P]
    same: Callable[[P], bool]
    """Whether it has title and text already."""
    update: Callable[[P], object]
    told: Callable[[P], tuple[int, str]]
    """Number and address."""


def put(calls: Calls[P]) -> Opened:
    """The same branch finds its own pull request, and updates its text."""
    standing = calls.find()
    if standing is None:
        try:
            return Opened(*calls.told(calls.open()), "opened")
        except Conflict:
            standing = calls.find()  # somebody else has just opened it
            if standing is None:
                raise
    if calls.same(standing):
        return Opened(*calls.told(standing), "unchanged")
    calls.update(standing)
    return Opened(*calls.told(standing), "updated")


def within_bounds(
    ask: Callable[[], T], failed: tuple[type[Exception], ...], why: Callable[[Exception], NexusError]
) -> T:
    """`why` says what an exception of the client library means."""
    for attempt in range(TRIES):
        try:
            return ask()
        except failed as error:
            meant = why(error)
            if not meant.retry or attempt == TRIES - 1:
                raise meant from None
            time.sleep(PAUSE * 2**attempt)
    raise AssertionError("unreachable: the last attempt returns or raises")


def refused(forge: str, status: int, said: str, *, waits: bool = False) -> NexusError:
    """What an answer that is no success means. `waits`: the forge asks for fewer requests."""
    words = f"{forge} answered {status}: {plain_line(said)[:_WORDS]}"
    if waits or status == 429 or status >= 500:
        return Unreachable(words)
    if status == 401:
        return RemoteRefused(f"{words}; is NEXUS_FORGE_TOKEN of this forge, and still good?")
    if status == 403:
        return RemoteRefused(f"{words}; NEXUS_FORGE_TOKEN must be allowed to write pull requests")
    if status == 404:
        return Missing(f"{words}; there is no such repository, or NEXUS_FORGE_TOKEN may not see it")
    return Conflict(words) if status == 409 else RemoteRefused(words)


def silent(forge: str, error: Exception) -> NexusError:
    return Unreachable(f"{forge}: no answer: {type(error).__name__}")
