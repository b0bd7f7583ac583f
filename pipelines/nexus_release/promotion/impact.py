"""What a change does to an environment: pods, GPUs, cost, traffic, and who is concerned. Values in, values out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from nexus_release.config import Settings
from nexus_release.manifests.tree import Inputs
from nexus_release.plan import Plan
from nexus_release.pod_groups import PodGroup, pod_groups
from nexus_release.policies import SECTIONS, Policies
from nexus_release.prices import pod_hour

Role = Literal["stable", "canary", "retained"]
_HUNDRED = Decimal(100)


@dataclass(frozen=True)
class Running:
    """One release of a model, as an environment runs it."""

    release: str
    role: Role
    percent: int
    """Of the model's traffic."""
    groups: tuple[PodGroup, ...]
    """Its pods, by what they do."""


@dataclass(frozen=True)
class Side:
    """A model in an environment, before a change or after it."""

    running: tuple[Running, ...]
    gpu: str | None
    currency: str
    hour: Decimal
    """What the model's pods cost an hour at most."""
    environment_hour: Decimal
    """The same of every model's."""

    @property
    def pods(self) -> int:
        """At most."""
        return sum(group.most for one in self.running for group in one.groups)

    @property
    def gpus(self) -> int:
        """At most."""
        return sum(group.most * group.gpus for one in self.running for group in one.groups) if self.gpu else 0


@dataclass(frozen=True)
class Callers:
    """Who may ask for a model, as the environment's policies say."""

    named: tuple[str, ...]
    """Those whose policy names the model, sorted."""
    others: int
    """Those whose policy names no models, so that they may ask for any."""


@dataclass(frozen=True)
class Impact:
    before: Side
    after: Side
    callers: Callers | None
    """None where the environment has no policies: whoever has a key may ask."""
    needs: tuple[tuple[int, str], ...]
    """(approvals, why), of each rule that holds."""

    @property
    def moved(self) -> int:
        return moved(self.before, self.after)

    @property
    def approvals(self) -> int:
        return max(people for people, _ in self.needs)


def impact(before: Inputs, after: Inputs, model: str) -> Impact:
    """Of a change of one model's plan."""
    old, new = _side(before, model), _side(after, model)
    concerned = None if before.policies is None else callers(before.policies, model)
    return Impact(old, new, concerned, tuple(_needs(old, new, concerned, before.settings)))


def moved(before: Side, after: Side) -> int:
    """Percent of the model's traffic that goes to another release, or nowhere any more."""
    new = {one.release: one.percent for one in after.running}
    return sum(max(0, one.percent - new.get(one.release, 0)) for one in before.running)


def callers(policies: Policies, model: str) -> Callers:
    """Tenants by their names, and those who sign in by `subject`."""
    allowed = dict(_allowed(policies))
    named = sorted(name for name, models in allowed.items() if models is not None and model in models)
    return Callers(tuple(named), sum(models is None for models in allowed.values()))


def _allowed(policies: Policies) -> Iterator[tuple[str, Collection[str] | None]]:
    for section in SECTIONS:
        written = policies.get(section)
        for name, one in written.items() if isinstance(written, Mapping) else ():
            yield name if section == "policies" else f"subject {name}", one.get("models")


def _side(inputs: Inputs, model: str) -> Side:
    settings, plan = inputs.settings, inputs.plans.get(model)
    running = tuple(_running(plan, inputs)) if plan else ()
    everything = tuple(one for each in inputs.plans.values() for one in _running(each, inputs))
    return Side(
        running=running,
        gpu=settings.gpu.model if settings.gpu.enabled else None,
        currency=settings.prices.currency,
        hour=_hour(running, settings),
        environment_hour=_hour(everything, settings),
    )


def _running(plan: Plan, inputs: Inputs) -> Iterator[Running]:
    weight = plan.canary.weight if plan.canary else 0
    yield _one(plan.stable.release, "stable", 100 - weight, inputs)
    if plan.canary:
        yield _one(plan.canary.release, "canary", weight, inputs)
    for pointer in plan.retained:
        yield _one(pointer.release, "retained", 0, inputs)


def _one(release: str, role: Role, percent: int, inputs: Inputs) -> Running:
    return Running(release, role, percent, pod_groups(inputs.records[release].content, inputs.settings))


def _hour(running: Collection[Running], settings: Settings) -> Decimal:
    each = (pod_hour(settings, group.gpus) * group.most for one in running for group in one.groups)
    return sum(each, Decimal(0))


def _needs(before: Side, after: Side, concerned: Callers | None, settings: Settings) -> Iterator[tuple[int, str]]:
    """By the rules of main as it is, so that a change cannot ease its own."""
    rules = settings.approvals
    yield rules.any, "every change"
    if (share := moved(before, after)) > rules.traffic.over:
        yield rules.traffic.people, f"{share} % of the traffic moves, over {rules.traffic.over} %"
    rise = after.environment_hour - before.environment_hour
    if rise > before.environment_hour * rules.cost.over / _HUNDRED:
        of = f"{rise * _HUNDRED / before.environment_hour:.0f} %" if before.environment_hour else "from nothing"
        yield rules.cost.people, f"the environment's cost rises {of}, over {rules.cost.over} %"
    if concerned and len(concerned.named) > rules.callers.over:
        yield rules.callers.people, f"{len(concerned.named)} callers are named for it, over {rules.callers.over}"
