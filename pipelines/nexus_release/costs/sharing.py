"""Divides an amount of money so that its parts are the amount again, to the last digit."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

PLACES = 4
QUANTUM = Decimal(1).scaleb(-PLACES)
"""The smallest amount that is told; all sums are of whole multiples of it, so that they hold as they are read."""


def rounded(amount: Fraction) -> Decimal:
    """To the quantum, half to even."""
    return round(amount / Fraction(QUANTUM)) * QUANTUM


def shared(amount: Decimal, parts: Mapping[str, Fraction]) -> dict[str, Decimal]:
    """`amount`, a multiple of the quantum, in proportion to `parts`, whose sum is above 0.

    Each gets its share rounded down, and those that lost most by it one quantum more until nothing is left (the method
    of the largest remainder; of equal remainders the first name).
    """
    units, whole = int(amount / QUANTUM), sum(parts.values())
    exact = {name: units * part / whole for name, part in parts.items()}
    given = {name: int(share) for name, share in exact.items()}
    left = units - sum(given.values())
    for name in sorted(exact, key=lambda one: (given[one] - exact[one], one))[:left]:
        given[name] += 1
    return {name: units * QUANTUM for name, units in given.items()}
