"""The port `Machines` where no Prometheus is named: what main's plans asked for, from each commit to the next."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from nexus_release.costs.usage import Held, Slots
from nexus_release.errors import Missing, NexusError
from nexus_release.kubernetes_values import cpu_cores, memory_bytes
from nexus_release.manifests.tree import Inputs, load_inputs
from nexus_release.monitoring.windows import parsed
from nexus_release.pod_groups import placed
from nexus_release.ports import Repository


class PlannedMachines:
    """As if a commit had been applied when it was made, and no release had ever more than its least number of pods."""

    def __init__(self, repository: Repository, environment: str) -> None:
        self._repository, self._environment = repository, environment

    def held(self, slots: Slots) -> tuple[Sequence[Held], str]:
        """Raises Missing where main knew no plan of the environment in that time."""
        end = slots.begin + slots.count * slots.seconds
        found: list[Held] = []
        unknown = 0
        for commit, since, until in self._spans(slots.begin, end):
            inputs = self._inputs(commit)
            if inputs is None:
                unknown += 1
                continue
            found += _held(inputs, slots, since, until)
        if not found:
            raise Missing(f"main has had no plan of {self._environment} in that time")
        told = "machines: the plans of main, each release with its least number of pods"
        return _together(found), told + (f"; {unknown} commits of another form are left out" if unknown else "")

    def _spans(self, begin: int, end: int) -> Iterator[tuple[str, int, int]]:
        """(commit, from, until) of those that changed what runs, within the window."""
        with self._repository.history() as history:
            logged = history.commits("environments/base.yaml", f"environments/{self._environment}")
        until = end
        for commit in logged:
            since = int(parsed("commit", commit.time).timestamp())
            if since < until:
                yield commit.hash, max(since, begin), until
                until = since
            if since <= begin:
                return

    def _inputs(self, commit: str) -> Inputs | None:
        with tempfile.TemporaryDirectory(prefix="nexus-then-") as folder:
            self._repository.checkout(Path(folder), commit)
            try:
                return load_inputs(Path(folder), self._environment)
            except NexusError:
                return None  # of a time before this form of settings or records


def _held(inputs: Inputs, slots: Slots, since: int, until: int) -> Iterator[Held]:
    settings = inputs.settings
    cores, gib = cpu_cores(settings.resources.cpu), Fraction(memory_bytes(settings.resources.memory), 1 << 30)
    for plan in inputs.plans.values():
        for release in plan.releases:
            content = inputs.records[release].content
            groups = placed(content, settings)
            pods = sum(group.least for group in groups)
            gpus = sum(group.least * group.gpus for group in groups) if settings.gpu.enabled else 0
            for slot, seconds in _seconds(slots, since, until):
                hours = Fraction(seconds, 3600)
                yield Held(slot, plan.model, release, gpus * hours, Fraction(cores) * pods * hours, gib * pods * hours)


def _seconds(slots: Slots, since: int, until: int) -> Iterator[tuple[int, int]]:
    """(slot, seconds of it) between two times."""
    for slot in range((since - slots.begin) // slots.seconds, -(-(until - slots.begin) // slots.seconds)):
        begin = slots.begin + slot * slots.seconds
        yield slot, min(until, begin + slots.seconds) - max(since, begin)


def _together(held: Sequence[Held]) -> list[Held]:
    """One of each slot and release: a slot in which a commit was made is of two plans."""
    sums: dict[tuple[int, str, str], list[Fraction]] = defaultdict(lambda: [Fraction()] * 3)
    for one in held:
        hours = (one.gpu_hours, one.core_hours, one.gib_hours)
        key = (one.slot, one.model, one.release)
        sums[key] = [before + more for before, more in zip(sums[key], hours, strict=True)]
    return [Held(*key, *hours) for key, hours in sorted(sums.items())]
