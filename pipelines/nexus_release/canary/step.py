"""One step of a canary: look at main, look at the figures, decide, and commit what is decided with its evidence.

Nothing is kept but what Git says and what the figures give again, so a run that dies is run again. Of two at once one
lands; the other one finds another plan on main and changes nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from nexus_release.canary.decision import Moments, decide
from nexus_release.canary.evidence import (
    Arm,
    Cost,
    Evidence,
    after_decision,
    bounds_of,
    chain,
    cost_of,
    evidence_path,
    evidence_text,
    read_evidence,
    seen_before,
)
from nexus_release.canary.figures import Arms, Looked
from nexus_release.canary.tallies import Block, Tally
from nexus_release.config import Settings, load_settings
from nexus_release.errors import Missing, Unreachable
from nexus_release.history import WeightSince, weight_since
from nexus_release.journal import write_whole
from nexus_release.monitoring.windows import parsed, written
from nexus_release.plan import Canary, Plan, Pointer, read_plan
from nexus_release.ports import Commit, Figures, Landed, Repository
from nexus_release.prices import pod_hour
from nexus_release.proposals import branch_name, land_or_leave, plan_commit, text_unless_same


@dataclass(frozen=True)
class Standing:
    """What main says of a canary."""

    commit: str
    settings: Settings
    plan: Plan
    canary: Canary
    since: WeightSince
    links: list[tuple[str, Evidence]]
    """Its evidence until now."""


@dataclass(frozen=True)
class Stepped:
    evidence: Evidence
    path: str
    landed: Landed | None
    """None where nothing was to be committed."""


class NothingToDo(Missing):
    """There is no canary that this command may move."""


def step(
    repository: Repository, figures: Callable[[], Figures], environment: str, model: str, now: datetime, *, dry: bool
) -> Stepped:
    """Commits an advance, a promotion or a return; `dry` commits nothing. Raises NothingToDo, and Unreachable where no
    figures are there: then the weight stays, until the deadline at most."""
    standing = _standing(repository, environment, model)
    evidence = _evidence(standing, environment, _looked(standing, figures, environment, now), now)
    path = evidence_path(evidence)
    if dry or evidence.decision.action == "hold":
        return Stepped(evidence, path, None)
    branch = branch_name("canary-step", environment, model, standing.canary.release[:12])
    commits = [_commit(standing, environment, evidence, path)]
    landed = land_or_leave(repository, environment, branch, commits, landing=lambda settings: settings.canary.landing)
    return Stepped(evidence, path, landed)


def _standing(repository: Repository, environment: str, model: str) -> Standing:
    with tempfile.TemporaryDirectory(prefix="nexus-canary-") as folder, repository.history() as history:
        root, commit = Path(folder), history.commits()[0].hash
        repository.checkout(root, commit)  # of the history that is read, wherever main goes meanwhile
        settings, plan = load_settings(root, environment), read_plan(root, environment, model)
        if plan is None or plan.canary is None:
            raise NothingToDo(f"{model}: {environment} has no canary: nothing to do")
        links = chain(read_evidence(root, environment, model), plan.stable.release, plan.canary.release)
        since = weight_since(history, environment, model, plan)
    if plan.canary.weight == 0 and (links or since.ever):
        raise NothingToDo(
            f"{model}: canary {plan.canary.release[:12]} has gone back to 0: a person may give it a weight"
        )
    return Standing(commit, settings, plan, plan.canary, since, links)


def _looked(standing: Standing, figures: Callable[[], Figures], environment: str, now: datetime) -> Looked:
    """The figures since the weight was set. Past the deadline none at all are an answer too."""
    policy, since = standing.settings.canary, standing.since
    if standing.canary.weight == 0:
        return Looked("none", (), {})
    arms = Arms(environment, standing.plan.model, standing.plan.stable.release, standing.canary.release, since.commit)
    try:
        return figures().look(arms, policy.labels, parsed("commit", since.time), now, policy.look_seconds)
    except Unreachable as error:
        if now - parsed("commit", since.began) > timedelta(hours=policy.deadline_hours):
            return Looked("none", (), {}, (str(error),))
        raise Unreachable(f"the weight stays at {standing.canary.weight} %: {error}") from None


def _evidence(standing: Standing, environment: str, looked: Looked, now: datetime) -> Evidence:
    settings, plan, until = standing.settings, standing.plan, written(now)
    since = _in_utc(standing.since.time)
    moments = Moments(began=_in_utc(standing.since.began) or since, since=since, until=until)
    tests, decision = decide(
        settings.canary, standing.canary.weight, moments, seen_before(standing.links), looked.blocks
    )
    return Evidence(
        environment=environment,
        model=plan.model,
        stable=plan.stable.release,
        canary=standing.canary.release,
        weight=standing.canary.weight,
        commit=standing.commit,
        previous=standing.links[-1][0] if standing.links else None,
        source=looked.source,
        notes=looked.notes,
        moments=moments,
        bounds=bounds_of(settings.canary),
        buckets=dict(looked.buckets),
        blocks=looked.blocks,
        tests=tests,
        decision=decision,
        cost=_costs(looked.blocks, settings),
    )


def _costs(blocks: Sequence[Block], settings: Settings) -> dict[Arm, Cost]:
    """By the price of one of the places that a pod has for requests."""
    if not blocks:
        return {}
    place_hour = pod_hour(settings, settings.gpu.count) / settings.serving.concurrency
    arms: tuple[tuple[Arm, list[Tally]], ...] = (
        ("stable", [block.stable for block in blocks]),
        ("canary", [block.canary for block in blocks]),
    )
    return {arm: cost_of(tallies, place_hour, settings.prices.currency) for arm, tallies in arms}


def _commit(standing: Standing, environment: str, evidence: Evidence, path: str) -> Commit:
    """Nothing where main's plan is not the one that was looked at: somebody else has decided meanwhile."""
    plan, decision = standing.plan, evidence.decision
    pointer = Pointer(release=standing.canary.release, record=standing.canary.record)

    def change(clone: Path, now: Plan | None) -> str | None:
        if now != plan:
            return None
        write_whole(clone / path, evidence_text(evidence))
        return text_unless_same(after_decision(plan, evidence, load_settings(clone, environment).retain), now)

    what = {"advance": f"to {decision.weight} %", "revert": "back to 0 %", "promote": "to stable", "hold": "nowhere"}
    message = f"Move canary {pointer.release[:12]} of {plan.model} {what[decision.action]}: {decision.reason}"
    inner = plan_commit("canary-step", environment, plan.model, pointer, message, change, {"Nexus-Evidence": path})
    return Commit(inner.message, inner.trailers, lambda clone: [*inner.edit(clone), path])


def _in_utc(time: str) -> str:
    return written(parsed("commit", time)) if time else ""
