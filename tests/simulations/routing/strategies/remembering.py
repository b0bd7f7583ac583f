"""The same with the gateways' placement memory (`nexus_gateway/placing/memory.py`), which all of them share."""

from __future__ import annotations

import random
from collections.abc import Collection

from nexus_gateway.prefix_routing.choice import HOMELESS
from nexus_gateway.prefix_routing.keys import Keys

from ..gateways import Made, Seen
from ..texts import Question
from .nexus import Nexus, keys_of_question

MEMORY_SECONDS = 300.0
MOST_HOLDERS = 3
"""As `note.lua` has it."""


class Notes:
    """What Redis has: who has answered each conversation, the last first, until nobody has for so long."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[tuple[str, ...], float]] = {}

    def of(self, conversation: int, now: float) -> tuple[str, ...]:
        names, until = self._kept.get(conversation, ((), now))
        return names if until > now else ()

    def note(self, conversation: int, name: str, now: float) -> None:
        others = [one for one in self.of(conversation, now) if one != name]
        self._kept.pop(conversation, None)  # so that the one that goes first stays first
        self._kept[conversation] = (name, *others)[:MOST_HOLDERS], now + MEMORY_SECONDS

    def count(self, now: float) -> int:
        while self._kept and next(iter(self._kept.values()))[1] <= now:
            del self._kept[next(iter(self._kept))]
        return len(self._kept)


class Remembering(Nexus):
    def __init__(self, rng: random.Random, notes: Notes, late: float = 0.0) -> None:
        """`late`: the share of recalls that come too late to be of use, 0 to 1."""
        super().__init__(rng)
        self._rng, self._notes, self._late = rng, notes, late
        self._now = 0.0  # when it was last asked

    def holders(self, keys: Keys, now: float) -> Collection[str] | None:
        self._now = now
        return None if self._rng.random() < self._late else self._notes.of(keys.conversation, now)

    def begins(self, keys: Keys, endpoint: Seen, now: float) -> None:
        self._notes.note(keys.conversation, endpoint.name, now)

    def begun(self, question: Question, endpoint: Seen, cached: int) -> None:
        if self.choice_of(question).why not in HOMELESS:
            self._notes.note(keys_of_question(question).conversation, endpoint.name, self._now)
        super().begun(question, endpoint, cached)

    def remembered(self) -> int:
        """The notes too, which all gateways share."""
        return super().remembered() + self._notes.count(self._now)


def remembering(late: float = 0.0) -> Made:
    """Of the gateways of one run."""
    notes = Notes()
    return lambda rng: Remembering(rng, notes, late)
