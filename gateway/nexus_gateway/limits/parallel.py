"""How many requests of one caller are under way, in this process."""

from __future__ import annotations


class Parallel:
    """Holds only callers that are here now."""

    def __init__(self) -> None:
        self.under_way: dict[str, int] = {}

    def enter(self, caller: str, limit: int | None) -> bool:
        """True where one more may begin; it is taken out by `leave`."""
        now = self.under_way.get(caller, 0)
        if limit is not None and now >= limit:
            return False
        self.under_way[caller] = now + 1
        return True

    def leave(self, caller: str) -> None:
        left = self.under_way[caller] - 1
        if left:
            self.under_way[caller] = left
        else:
            del self.under_way[caller]
