"""Remembers in this process: responses that another process's gateway has relayed are not found."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from nexus_gateway.exchange import Waiter, given
from nexus_gateway.kept_responses.place import Place, name_of

MOST = 100_000
"""Responses, of some 300 bytes each; beyond them the one that was noted longest ago is forgotten."""


class MemoryPlaces:
    """The port `Places`, of one loop."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic, most: int = MOST) -> None:
        """`seconds` for which a response is remembered."""
        self._seconds, self._clock, self._most = seconds, clock, most
        self._places: OrderedDict[str, tuple[Place, float]] = OrderedDict()

    async def begin(self) -> None:
        """Nothing is needed."""

    def note(self, response: str, place: Place) -> Waiter[None]:
        name = name_of(response)
        self._places[name] = (place.seen_after(self._find(name)), self._clock() + self._seconds)
        self._places.move_to_end(name)
        if len(self._places) > self._most:
            self._places.popitem(last=False)
        return given(None)

    def find(self, response: str) -> Waiter[Place | None]:
        return given(self._find(name_of(response)))

    async def close(self) -> None:
        """Nothing is held."""

    def _find(self, name: str) -> Place | None:
        place, until = self._places.get(name, (None, 0.0))
        return place if until > self._clock() else None
