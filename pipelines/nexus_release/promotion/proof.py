"""One claim of a pull request, and whether it is proved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from nexus_release.frozen import Frozen
from nexus_release.terminal import plain_line

State = Literal["holds", "lies", "unproved"]


class Proof(Frozen):
    name: str
    state: State
    """`unproved`: what would prove it is not here."""
    said: tuple[str, ...]
    """What was found; every fault where it lies."""


def proof(name: str, faults: Iterable[str], holds: str, unproved: Iterable[str] = ()) -> Proof:
    """Lies where there is a fault, else holds or stays open."""
    if found := tuple(plain_line(fault) for fault in faults):
        return Proof(name=name, state="lies", said=found)
    if still := tuple(plain_line(one) for one in unproved):
        return Proof(name=name, state="unproved", said=still)
    return Proof(name=name, state="holds", said=(plain_line(holds),))
