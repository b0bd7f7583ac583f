"""What a placement memory is worth: `python -m tests.simulations.routing.placement_memory`, some minutes of CPU.

The gateway's own functions at saturation: without a memory, with one that has noted conversations that left their home
alone, and with the gateway's, which notes every answer. Here it is shared by all gateways, and never late."""

from __future__ import annotations

import random
import sys
from collections.abc import Collection, Sequence
from statistics import fmean

from nexus_gateway.prefix_routing.keys import Keys

from .gateways import Made, Seen
from .grid import Figures, figures
from .strategies.nexus import Nexus, keys_of_question
from .texts import Question
from .workloads import LOADS, by_name, trace

SEEDS = {"agents": 4, "chat": 1, "tenants": 1}
"""Runs of each workload; of agents one is much like chance."""
KINDS = ("nothing", "who has left", "every answer")
MOST_HOLDERS = 3

Kept = dict[int, tuple[str, ...]]
"""Conversation -> who has answered it, the last first."""


class Remembering(Nexus):
    def __init__(self, rng: random.Random, kept: Kept, every: bool) -> None:
        """`every`: answers at home too, of conversations that have never left it."""
        super().__init__(rng)
        self._kept, self._every = kept, every
        self._left: dict[int, bool] = {}

    def holders(self, keys: Keys) -> Collection[str]:
        return self._kept.get(keys.conversation, ())

    def choose(self, question: Question, endpoints: Sequence[Seen], now: float) -> Seen:
        found = super().choose(question, endpoints, now)
        why = self.why_of(question)
        known = keys_of_question(question).conversation in self._kept
        self._left[id(question)] = why != "short" and (why != "home" or known or self._every)
        return found

    def begun(self, question: Question, endpoint: Seen, cached: int) -> None:
        super().begun(question, endpoint, cached)
        if self._left.pop(id(question)):
            conversation = keys_of_question(question).conversation
            before = self._kept.get(conversation, ())
            others = [one for one in before if one != endpoint.name]
            self._kept[conversation] = (endpoint.name, *others)[:MOST_HOLDERS]


def remembering(kept: Kept, every: bool) -> Made:
    return lambda rng: Remembering(rng, kept, every)


def main() -> None:
    for name, seeds in SEEDS.items():
        workload = by_name([name])[0]
        for gateways in (1, 8):
            for kind in KINDS:
                found, notes = list[Figures](), list[int]()
                for seed in range(seeds):
                    kept: Kept = {}
                    made = Nexus if kind == KINDS[0] else remembering(kept, every=kind == KINDS[-1])
                    found.append(figures(workload, trace(workload, LOADS["at"], 1000, seed), gateways, made))
                    notes.append(len(kept))
                hits, p50, p99 = (
                    fmean(of) for of in zip(*((one.hits, one.p50, one.p99) for one in found), strict=True)
                )
                sys.stdout.write(
                    f"{name:8} {gateways} gateways, noted: {kind:13}: hits {hits:.3f}, TTFT p50 {p50:.2f} s,"
                    f" p99 {p99:.2f} s, {fmean(notes):.0f} notes\n"
                )


if __name__ == "__main__":
    main()
