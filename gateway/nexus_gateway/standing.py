"""What is the same for one request as for the next, as long as one snapshot is served: worked out once.

It belongs to the snapshot and goes with it, so that nothing here has to be told that the configuration has changed. A
caller is found by the very key that the ring gave, and never by what a client has sent: no credential gets another's
place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus_gateway.candidates import Candidate, only_candidate
from nexus_gateway.keys import Key
from nexus_gateway.policy import Caller, caller_of
from nexus_gateway.routes import Table
from nexus_gateway.routing import Route
from nexus_gateway.surfaces import Surface

if TYPE_CHECKING:
    from nexus_gateway.straight.way import Way

MOST_CALLERS = 10_000
"""Above it all are forgotten, and worked out again: rings that are replaced leave keys behind that nobody has."""


class Standing:
    """For the loop's thread alone."""

    __slots__ = ("_callers", "_only", "_table", "ways")

    def __init__(self, table: Table) -> None:
        self._table = table
        self._callers: dict[int, Caller] = {}
        """By the identity of a key, which each of them keeps alive."""
        self._only: dict[tuple[int, str], Candidate | None] = {}
        """By the identity of a route, which the table keeps alive, and the path of an API."""
        self.ways: dict[tuple[int, str, str], Way | Key] = {}
        """See `straight/`. By the identity of a key, a model, and the path of an API. Where there is none stands the
        key, which a way keeps alive too: else another might have its identity."""

    def caller(self, key: Key) -> Caller:
        if key.subject:  # made anew for each request of a token
            return caller_of(key, self._table)
        caller = self._callers.get(id(key))
        if caller is None:
            if len(self._callers) >= MOST_CALLERS:
                self._callers.clear()
            caller = self._callers[id(key)] = caller_of(key, self._table)
        return caller

    def only(self, route: Route, surface: Surface) -> Candidate | None:
        """The one engine that can be asked, whatever is known of the request; None where there is a choice."""
        place = (id(route), surface.path)
        try:
            return self._only[place]
        except KeyError:
            found = self._only[place] = only_candidate(self._table, route, surface)
            return found
