"""A test that may be looked at after every block of traffic, with one bound on how often it cries wolf in all.

A table counts, for one block, how many requests of either release had an event (an error; an answer slower than a
bound). Given its margins, the events of the canary follow Fisher's noncentral hypergeometric distribution (Fisher 1935;
McCullagh and Nelder 1989, 7.3), in which nothing but the odds ratio is unknown: how common the event is at that hour
drops out, and so does the weight. The ratio of its probability under odds `psi` to that under the allowed odds is
Wald's for double dichotomies (Wald 1947, chapter 6). It rises with the canary's events, so under every odds ratio up to
the allowed one its mean is at most 1, and so is that of products over blocks and of means over bounds and over `psi`
(Robbins 1970; Turner, Ly, Perez-Ortiz, ter Schure and Gruenwald 2024 call such values safe; Vovk and Wang 2021 for
means of dependent ones). By Ville's inequality the running product ever reaches 1 / alpha with probability alpha at
most, whenever and however often it is looked at (Johari, Pekelis and Walsh 2015 use the same for tests that are peeked
at; Howard et al. 2021 and Waudby-Smith and Ramdas 2024 for intervals of one sample).

All of this holds for requests that are drawn one by one. Where sessions are drawn and their requests are alike, a table
counts every draw so often, and its logarithm is about so many times that of the draws: it is divided by that number
(the design effect of Kish 1965). About, since the draws' own table is not known: the bound is no proof then. A ratio to
a power below 1 keeps a mean of at most 1 (Jensen), so for single draws a number too large costs time alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby, repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy import ndarray

EFFECTS = (1.2, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Odds over the allowed ones that the test looks for. Fixed beforehand: one that followed the data would prove
nothing."""


@dataclass(frozen=True)
class Table:
    """One block of traffic: requests of each release, and those of them that had the event."""

    stable: int
    stable_events: int
    canary: int
    canary_events: int

    @property
    def turned(self) -> Table:
        """Of the event's absence."""
        return replace(
            self, stable_events=self.stable - self.stable_events, canary_events=self.canary - self.canary_events
        )


def log_evidence(blocks: Iterable[Sequence[Table]], odds: float, per_draw: float = 1.0) -> float:
    """Natural logarithm of the evidence that the canary's odds of some event are above `odds` times the stable
    release's, where so many requests are drawn together. Each block has one table for each event, in the same order;
    where a later one counts other events, a new product begins and multiplies the one before. 0 is no evidence; below
    it speaks for the canary."""
    alike = groupby(blocks, key=len)
    return sum(
        (log_mean(_sum(map(log_ratios, group, repeat(odds), repeat(per_draw)))) for length, group in alike if length),
        0.0,
    )


def log_ratios(tables: Sequence[Table], odds: float, per_draw: float = 1.0) -> ndarray[Any, Any]:
    """Of one block: for each table and effect the logarithm of its ratio. Those of several blocks are added."""
    import numpy as np

    return np.array([_ratios(table, odds) for table in tables]) / per_draw


def _sum(arrays: Iterable[ndarray[Any, Any]]) -> ndarray[Any, Any]:
    import numpy as np

    found: ndarray[Any, Any] = np.sum([*arrays], axis=0)
    return found


def _ratios(table: Table, odds: float) -> ndarray[Any, Any]:
    """For each effect the logarithm of the table's probability ratio."""
    import numpy as np

    events = table.stable_events + table.canary_events
    lowest, highest = max(0, events - table.stable), min(events, table.canary)
    if lowest == highest:
        return np.zeros(len(EFFECTS))  # its margins leave one table: it says nothing
    ways = _ways(table.canary, table.stable, events, lowest, highest)
    log_odds = np.log(odds * np.array([1.0, *EFFECTS]))
    weights = ways + np.outer(log_odds, np.arange(len(ways)))  # a row for each of the odds
    most = weights.max(axis=1)
    alls = most + np.log(np.exp(weights - most[:, None]).sum(axis=1))
    found: ndarray[Any, Any] = weights[:, table.canary_events - lowest] - alls
    found -= found[0]
    return found[1:]


def _ways(canary: int, stable: int, events: int, lowest: int, highest: int) -> ndarray[Any, Any]:
    """Logarithms of in how many ways each possible number of events is the canary's, up to a constant."""
    import numpy as np

    logs = _log_factorials(1 << (canary + stable).bit_length())
    own = np.arange(lowest, highest + 1)
    other = events - own
    ways: ndarray[Any, Any] = -(logs[own] + logs[canary - own] + logs[other] + logs[stable - other])
    return ways


@lru_cache(maxsize=4)
def _log_factorials(size: int) -> ndarray[Any, Any]:
    import numpy as np

    return np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, size + 1)))))


def log_mean(values: ndarray[Any, Any]) -> float:
    """Of what `log_ratios` has added up to: the evidence."""
    import numpy as np

    most = values.max()
    return float(most + np.log(np.exp(values - most).mean()))
