"""One request's decision, kept as it is made: by appends alone, on the request's path."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from nexus_gateway.candidates import Candidate, Look, Wanted, candidates
from nexus_gateway.endpoints import Seen
from nexus_gateway.routes import Table, Upstream
from nexus_gateway.routing import Match, Route


@dataclass(slots=True)
class Choice:
    """One look at the endpoints of an upstream, and who of them was then asked."""

    upstream: str
    seen: Sequence[Seen]
    asked: Candidate | None = None


@dataclass(slots=True)
class Considered:
    path: str
    """Route template of the API."""
    model: str
    """As the client wrote it."""
    known: bool
    """True where a route has that name."""
    tries: int | None = None
    """None where no engine was looked for."""
    places: list[tuple[Route, int]] = field(default_factory=list)
    """The request's bucket in each split that was looked at."""
    rules: list[tuple[Match, bool]] = field(default_factory=list)
    """Those that were held against the request, and whether it has the header."""
    left_out: list[str] = field(default_factory=list)
    """Fallbacks that the caller may not use."""
    choices: list[Choice] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Code of each engine that failed so that the next was looked for."""
    holder: str = ""
    """The endpoint that alone could be asked."""
    out_of_retries: bool = False
    """True where there was a next one, and the budget of retries was used up."""

    def candidates(self, table: Table, wanted: Wanted, look: Look) -> Iterator[Candidate]:
        """Those of `candidates`; all that they ask of the request and of endpoints is kept."""
        self.tries, self.holder = wanted.route.tries, wanted.holder

        def looked(upstream: Upstream, tried: Collection[str]) -> Sequence[Seen]:
            seen = look(upstream, tried)
            self.choices.append(Choice(upstream.name, seen))
            return seen

        for candidate in candidates(table, self._watched(wanted), looked):
            self.choices[-1].asked = candidate
            yield candidate

    def _watched(self, wanted: Wanted) -> Wanted:
        def place(route: Route) -> int:
            found = wanted.place(route)
            self.places.append((route, found))
            return found

        def holds(rule: Match) -> bool:
            held = wanted.holds(rule)
            self.rules.append((rule, held))
            return held

        def allowed(model: str) -> bool:
            may = wanted.allowed(model)
            if not may:
                self.left_out.append(model)
            return may

        return replace(wanted, place=place, holds=holds, allowed=allowed)
