"""When this process has too much to do: what is turned away at once, so that the rest is still answered.

Requests hold memory and turns of the loop. Past a part of the most that may be under way, the least important are
turned away first: priority 0 from half of it on, 100 only when all is taken.
"""

from __future__ import annotations

from nexus_gateway.errors import OVERLOADED, Refusal

MOST_IN_FLIGHT = 4000
"""Requests; with bodies of 100 KiB, 400 MB."""
HIGHEST = 100
"""Priority."""


def shed(in_flight: int, most: int, priority: int = HIGHEST) -> None:
    """Raises Refusal where a request of that priority is one too many. `in_flight` counts the request itself."""
    if in_flight > most * (0.5 + priority / (2 * HIGHEST)):
        raise Refusal(OVERLOADED, "this gateway has too much to do", ((b"retry-after", b"1"),))
