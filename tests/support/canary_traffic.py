"""Traffic of two releases that we make up by seeds, counted as gateways count it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from nexus_gateway.telemetry import families
from nexus_release.canary.figures import Arms, Looked
from nexus_release.canary.tallies import Block, Tally
from nexus_release.errors import Unreachable
from nexus_release.monitoring.windows import Window, written

BOUNDS = {
    "first_byte": families.DRAWN_FIRST_BYTE.bounds,
    "inter_token": families.DRAWN_GAP.bounds,
    "cost": families.DRAWN_CALL.bounds,
    "length": families.DRAWN_LENGTH.bounds,
}
BUCKETS = {name: tuple(map(str, bounds)) for name, bounds in BOUNDS.items()}


@dataclass(frozen=True)
class Behaviour:
    """Of a release. Times are lognormal, as those of engines about are."""

    errors: float = 0.002
    refusals: float = 0.01
    slower: float = 1.0
    """Factor of the time to the first byte."""
    slower_tail: float = 1.0
    """The same, of the slowest twentieth alone: the median stays, the 99th percentile moves."""
    gap: float = 1.0
    """Factor of the wait between two tokens."""
    longer: float = 1.0
    """Factor of the answer's tokens."""


SAME = Behaviour()


@dataclass(frozen=True)
class Traffic:
    """What both releases are asked in a block."""

    requests: int = 2000
    swing: float = 0.0
    """How much times and errors move from block to block, for both alike."""
    per_session: int = 1
    """Requests that are drawn together and are alike."""


PLAIN = Traffic()


def draw(rng: np.random.Generator, window: Window, weight: int, canary: Behaviour, traffic: Traffic = PLAIN) -> Block:
    sessions = traffic.requests // traffic.per_session
    own = int(rng.binomial(sessions, weight / 100))
    swing = float(np.exp(rng.normal(0.0, traffic.swing))) if traffic.swing else 1.0
    stable, new = (
        _tally(rng, count, traffic.per_session, behaviour, swing)
        for count, behaviour in ((sessions - own, SAME), (own, canary))
    )
    return Block(window=window, stable=stable, canary=new)


def _tally(rng: np.random.Generator, sessions: int, each: int, how: Behaviour, swing: float) -> Tally:
    requests = sessions * each
    errors = int(rng.binomial(requests, min(1.0, how.errors * swing)))
    answers = requests - errors
    of_session = np.repeat(rng.normal(0.0, 0.5 if each > 1 else 0.0, sessions), each)[:answers]
    first = 0.2 * swing * how.slower * np.exp(of_session + rng.normal(0.0, 0.5 if each == 1 else 0.3, answers))
    if how.slower_tail != 1.0:
        first = np.where(first > 0.2 * swing * np.exp(1.645 * 0.5), first * how.slower_tail, first)
    gaps = 0.02 * swing * how.gap * np.exp(rng.normal(0.0, 0.3, answers))
    tokens = np.maximum(1, np.rint(150 * how.longer * np.exp(rng.normal(0.0, 0.8, answers))))
    calls = first + gaps * tokens
    return Tally.model_validate({
        "requests": requests,
        "errors": errors,
        "answers": answers,
        "refusals": int(rng.binomial(answers, how.refusals)),
        "first_byte": _counted("first_byte", first),
        "inter_token": _counted("inter_token", gaps),
        "cost": _counted("cost", calls),
        "length": _counted("length", tokens),
        "tokens": int(tokens.sum()),
        "milliseconds": int(calls.sum() * 1000),
    })  # fmt: skip


def _counted(name: str, values: np.ndarray) -> list[int]:
    places = np.searchsorted(BOUNDS[name], values)  # up to a bound is within it, as in the gateway
    return [int(count) for count in np.bincount(places, minlength=len(BOUNDS[name]) + 1)]


def windows(since: datetime, count: int, seconds: int) -> list[Window]:
    edges = [written(since + timedelta(seconds=number * seconds)) for number in range(count + 1)]
    return [Window(since=one, until=other) for one, other in pairwise(edges)]


class MadeUpFigures:
    """The port `Figures`: whole blocks since the weight was set, the same ones however often they are asked for."""

    def __init__(self, canary: Behaviour = SAME, seed: int = 0) -> None:
        self.canary, self.seed, self.weight = canary, seed, 1
        self.asked: list[Arms] = []
        self.marks: list[str] = []
        """Each weight's commit, once. Its place here is drawn by: its hash is of the clock, and so another each run."""
        self.gone = False

    def look(self, arms: Arms, labels: Mapping[str, str], since: datetime, until: datetime, seconds: int) -> Looked:
        if self.gone:
            raise Unreachable("nobody answers")
        self.asked.append(arms)
        if arms.mark not in self.marks:
            self.marks.append(arms.mark)
        rng = np.random.default_rng([self.seed, self.marks.index(arms.mark)])
        count = int((until - since).total_seconds() // seconds)
        blocks = [draw(rng, window, self.weight, self.canary) for window in windows(since, count, seconds)]
        return Looked("prometheus", tuple(blocks), BUCKETS)
