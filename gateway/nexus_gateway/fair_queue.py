"""Who goes next among those that wait with the same priority: deficit round robin between tenants.

In each round a tenant may spend QUANTUM more tokens; what it does not spend is kept while it still waits. So of two
tenants that both wait none gets more than QUANTUM and the largest two requests ahead of the other, however many
requests it has sent (M. Shreedhar, G. Varghese, "Efficient fair queueing using deficit round robin", 1995).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from nexus_gateway.exchange import Waiter

QUANTUM = 8192
"""Tokens."""
LARGEST = 16 * QUANTUM
"""Tokens that one request counts for at most, so that finding the next takes a bounded number of rounds."""


@dataclass(slots=True)
class _Line:
    """One tenant's."""

    places: deque[tuple[int, Waiter[None]]] = field(default_factory=deque)
    """(tokens, who waits)."""
    deficit: int = 0
    """Tokens that it may spend."""
    in_turn: bool = False
    """True where it has its quantum of this round."""


class FairQueue:
    """Who has given up has a settled waiter, and is passed over."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, _Line] = OrderedDict()

    def __len__(self) -> int:
        return sum(not waiter.settled for line in self._lines.values() for _, waiter in line.places)

    def add(self, tenant: str, tokens: int, waiter: Waiter[None]) -> None:
        self._lines.setdefault(tenant, _Line()).places.append((min(max(1, tokens), LARGEST), waiter))

    def take(self) -> Waiter[None] | None:
        """The next one, taken out; None where nobody waits."""
        while self._lines:
            tenant, line = next(iter(self._lines.items()))
            while line.places and line.places[0][1].settled:
                line.places.popleft()
            if not line.places:
                del self._lines[tenant]
                continue
            if not line.in_turn:
                line.deficit, line.in_turn = line.deficit + QUANTUM, True
            if line.places[0][0] <= line.deficit:
                tokens, waiter = line.places.popleft()
                line.deficit -= tokens
                return waiter
            line.in_turn = False
            self._lines.move_to_end(tenant)
        return None
