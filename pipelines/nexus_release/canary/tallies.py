"""What two releases have done with their draws in a block of traffic, and what each measure counts of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated

from pydantic import Field, model_validator

from nexus_release.canary.policy import Metric
from nexus_release.canary.sequential import Table
from nexus_release.frozen import Frozen
from nexus_release.monitoring.windows import Window

Count = Annotated[int, Field(ge=0, lt=1 << 40)]
Counts = Annotated[tuple[Count, ...], Field(max_length=200)]
"""Answers by bucket: those up to each bound, and the rest."""


class Tally(Frozen):
    """Of one release. Answers are those of a first call that nobody else has helped."""

    requests: Count
    errors: Count
    answers: Count
    """Whose ending was told."""
    refusals: Count
    first_byte: Counts
    inter_token: Counts
    cost: Counts
    length: Counts
    tokens: Count
    """Of all answers."""
    milliseconds: Count
    """That all answers have held an engine."""

    @model_validator(mode="after")
    def _parts_of_wholes(self) -> Tally:
        if self.errors > self.requests or self.refusals > self.answers:
            raise ValueError("more of a part than of its whole")
        return self


class Block(Frozen):
    window: Window
    stable: Tally
    canary: Tally

    @model_validator(mode="after")
    def _same_buckets(self) -> Block:
        for name in HISTOGRAMS:
            if len(getattr(self.stable, name)) != len(getattr(self.canary, name)):
                raise ValueError(f"{name}: the two releases are not counted by the same buckets")
        return self


@dataclass(frozen=True)
class Measure:
    tables: Callable[[Block], list[Table]]
    both_ways: bool = False
    """True where less is as suspicious as more."""


HISTOGRAMS = ("first_byte", "inter_token", "cost", "length")


def _errors(block: Block) -> list[Table]:
    stable, canary = block.stable, block.canary
    return [Table(stable.requests, stable.errors, canary.requests, canary.errors)]


def _refusals(block: Block) -> list[Table]:
    stable, canary = block.stable, block.canary
    return [Table(stable.answers, stable.refusals, canary.answers, canary.refusals)]


def _above(name: str) -> Measure:
    """A table for each bound: answers above it."""

    def tables(block: Block) -> list[Table]:
        stable, canary = getattr(block.stable, name), getattr(block.canary, name)
        of_stable, of_canary = sum(stable), sum(canary)
        passed = zip(accumulate(stable[:-1]), accumulate(canary[:-1]), strict=True)
        return [Table(of_stable, of_stable - one, of_canary, of_canary - other) for one, other in passed]

    return Measure(tables, both_ways=name == "length")


MEASURES: Mapping[Metric, Measure] = {
    "errors": Measure(_errors),
    "refusals": Measure(_refusals),
    "first_byte": _above("first_byte"),
    "inter_token": _above("inter_token"),
    "cost": _above("cost"),
    "length": _above("length"),
}
