"""How many calls may be second tries: a share of what is under way, so that retries never multiply an outage."""

from __future__ import annotations

SHARE = 0.2
LEAST = 3
"""Of the calls under way, and at least so many at a time, as Envoy's retry budget has it by default."""


class RetryBudget:
    def __init__(self) -> None:
        self.under_way = self.refused = 0

    def take(self, in_flight: int) -> bool:
        """True where one more retry may go; it is given back by `give`."""
        if self.under_way >= max(LEAST, SHARE * in_flight):
            self.refused += 1
            return False
        self.under_way += 1
        return True

    def give(self) -> None:
        self.under_way -= 1
