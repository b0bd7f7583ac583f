"""How far a dataset has moved from an earlier one: the population stability index of what is cheap to count.

The index is the sum over categories of (p - q) * ln(p / q), p and q being the category's share of either dataset. The
rule of thumb is credit scoring's (E. M. Lewis, An Introduction to Credit Scoring, 1992; discussed in B. Yurdakul,
Statistical Properties of Population Stability Index, 2018): below 0.1 nothing has changed, above 0.25 everything has.
Where one line is drawn instead, as here, it is usually drawn at 0.2.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

_TURNS = 8  # roles of a sequence that are told apart; longer ones are one category for each beginning
_UNSEEN = 0.5  # added to each count, so that a category which one side lacks has a logarithm


def drift(rows: Sequence[Row], earlier: Sequence[Row]) -> dict[str, float]:
    """Column -> index, 0 for equal shares, 4 decimals."""
    return {
        column: round(stability_index(Counter(categories(rows)), Counter(categories(earlier))), 4)
        for column, categories in _COLUMNS.items()
    }


def stability_index(now: Mapping[str, int], then: Mapping[str, int]) -> float:
    categories = now.keys() | then.keys()
    terms = (
        (p - q) * math.log(p / q)
        for p, q in ((_share(now, name, len(categories)), _share(then, name, len(categories))) for name in categories)
    )
    return math.fsum(terms)


def _share(counts: Mapping[str, int], name: str, categories: int) -> float:
    return (counts.get(name, 0) + _UNSEEN) / (sum(counts.values()) + _UNSEEN * categories)


def _lengths(rows: Iterable[Row]) -> Iterable[str]:
    """Each message by the power of two that its characters reach."""
    return (f"below {1 << len(message['content']).bit_length()}" for row in rows for message in row["messages"])


def _sequences(rows: Iterable[Row]) -> Iterable[str]:
    for row in rows:
        roles = [message["role"] for message in row["messages"]]
        yield ",".join(roles[:_TURNS] + ["..."] * (len(roles) > _TURNS))


_COLUMNS: Mapping[str, Callable[[Iterable[Row]], Iterable[str]]] = {
    "message length": _lengths,
    "role sequence": _sequences,
}
