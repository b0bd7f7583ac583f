"""What a cost report is made of: machines held and tokens made, slot by slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from nexus_release.monitoring.windows import Window, moment

UNKNOWN = "(not in Git)"
"""The model of an engine's pod that no record names: it is paid for all the same."""


@dataclass(frozen=True)
class Slots:
    """A window cut into equal parts, numbered from 0."""

    begin: int
    """Unix time, a whole multiple of `seconds`."""
    seconds: int
    count: int

    def of(self, time: float) -> int | None:
        """The slot that a time is in; None outside of the window."""
        number = int((time - self.begin) // self.seconds)
        return number if 0 <= number < self.count else None


@dataclass(frozen=True)
class Held:
    """What the pods of a release held during a slot, used or not."""

    slot: int
    model: str
    release: str
    gpu_hours: Fraction
    core_hours: Fraction
    gib_hours: Fraction


@dataclass(frozen=True)
class Made:
    """Tokens of a tenant in a slot, by the engines' account."""

    slot: int
    release: str
    tenant: str
    prompt: int
    """With those that the engine had kept."""
    cached: int
    completion: int


@dataclass(frozen=True)
class Usage:
    held: Sequence[Held]
    made: Sequence[Made]
    sources: tuple[str, ...]
    """For people: where the figures are from, and what they do not know."""


class Machines(Protocol):
    def held(self, slots: Slots) -> tuple[Sequence[Held], str]:
        """And what is to be said of where it is from. Raises Unreachable, or Missing where nothing is known."""


class Tokens(Protocol):
    def made(self, slots: Slots) -> tuple[Sequence[Made], str]:
        """The same of tokens."""


def slots_of(window: Window, seconds: int) -> Slots:
    """From the slot in which the window begins to the one in which it ends."""
    begin, end = (int(moment(text).timestamp()) for text in (window.since, window.until))
    first = begin // seconds * seconds
    return Slots(first, seconds, -(-(end - first) // seconds))
