"""A person's changes of a plan: canary, promote (within an environment, and into the next), rollback. Each is one
commit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nexus_release.config import load_settings
from nexus_release.errors import BadInput, Conflict, Missing, PromotionRefused
from nexus_release.history import PlanAt, plans
from nexus_release.names import EnvironmentName
from nexus_release.plan import Plan, Pointer, admitted, promoted, shifted
from nexus_release.ports import Commit, Landed, Repository, Signatures, Store
from nexus_release.promotion.passed import missing, stable_below
from nexus_release.proposals import Change, Kind, branch_name, land_or_leave, plan_commit, text_unless_same


@dataclass(frozen=True)
class Main:
    """Main as it is, from which a change is decided, and what proves signatures."""

    root: Path
    """Its files."""
    plan: Plan | None
    """Of the model, in the environment that is changed."""
    store: Store
    signatures: Signatures


@dataclass(frozen=True)
class PlanChange:
    """A change that can be tried before it is made."""

    kind: Kind
    model: str
    pointer: Pointer
    """The release that it is about."""
    message: str
    change: Change


def canary(plan: Plan | None, model: str, weight: int, prefix: str = "") -> PlanChange:
    """`weight` percent to the canary. Raises Missing or BadInput."""
    pointer = _canary(plan, model, prefix)
    shifted(_there(plan, model), pointer.release, weight)  # says now, before anything is cloned, what a weight may be

    def change(_: Path, now: Plan | None) -> str | None:
        return text_unless_same(shifted(_there(now, model), pointer.release, weight), now)

    message = f"Give release {pointer.release[:12]} of {model} {weight} % of the traffic"
    return PlanChange("canary", model, pointer, message, change)


def promote(plan: Plan | None, model: str, environment: EnvironmentName, prefix: str = "") -> PlanChange:
    """The canary becomes stable. Raises Missing or BadInput."""
    pointer = _canary(plan, model, prefix)

    def change(root: Path, now: Plan | None) -> str | None:
        retain = load_settings(root, environment).retain
        return text_unless_same(promoted(_there(now, model), pointer.release, retain), now)

    return PlanChange("promote", model, pointer, f"Promote release {pointer.release[:12]} of {model}", change)


def enter(
    main: Main, model: str, environment: EnvironmentName, lower: str | None = None, prefix: str = ""
) -> PlanChange:
    """What is stable in the environment below comes into this one: stable where it is the model's first, else as canary
    at weight 0. `lower`: where the caller believes it to come from. Raises Missing, BadInput, or PromotionRefused with
    all that it lacks."""
    below, pointer = stable_below(main.root, environment, model)
    if lower not in (None, below):
        raise BadInput("--from", lower, f"releases come into {environment} from {below}, as its settings say")
    if not pointer.release.startswith(prefix):
        raise BadInput("--release", prefix, f"stable in {below} is {pointer.release}")

    def change(root: Path, now: Plan | None) -> str | None:
        text = text_unless_same(admitted(now, model, pointer), now)
        if text and (lacks := tuple(missing(root, environment, model, pointer, main.store, main.signatures))):
            raise PromotionRefused(f"{model} {pointer.release[:12]} may not enter {environment}", lacks)
        return text

    change(main.root, main.plan)  # says now, before anything is cloned, what it lacks
    message = f"Admit release {pointer.release[:12]} of {model} to {environment}, stable in {below}"
    return PlanChange("admit", model, pointer, message, change)


def rollback(
    repository: Repository, plan: Plan | None, model: str, environment: EnvironmentName, prefix: str = ""
) -> PlanChange:
    """The plan file as it was at the newest commit in which another release (or the one named) was stable and no
    canary had weight, byte for byte. Raises Missing where history has none, BadInput for a prefix of two releases."""
    present = _there(plan, model)
    with repository.history() as history:
        earlier = [at for at in plans(history, environment, model) if not at.canary_at_work]
    wanted = [at for at in earlier if _wanted(at.plan.stable.release, present, prefix)]
    if not wanted:
        sought = f"a release {prefix}... was" if prefix else "another release was"
        raise Missing(f"{model}: main has no earlier plan for {environment} in which {sought} stable without a canary")
    if len({at.plan.stable.release for at in wanted}) > 1 and prefix:
        raise BadInput("--to", prefix, f"it begins {', '.join(sorted({at.plan.stable.release for at in wanted}))}")
    return _restored(wanted[0], present)


def make(repository: Repository, environment: EnvironmentName, change: PlanChange) -> Landed:
    """Commits the change; on a race it is made anew on the main of then."""
    branch = branch_name(change.kind, environment, change.model, change.pointer.release[:12])
    return land_or_leave(repository, environment, branch, [commit_of(environment, change)])


def commit_of(environment: EnvironmentName, change: PlanChange) -> Commit:
    return plan_commit(change.kind, environment, change.model, change.pointer, change.message, change.change)


def _restored(at: PlanAt, present: Plan) -> PlanChange:
    """Bytes of then cannot be made anew on a plan of later: that somebody else has changed it since is a Conflict."""
    model, stable = at.plan.model, at.plan.stable

    def change(_: Path, now: Plan | None) -> str | None:
        if now == at.plan:
            return None
        if now != present:
            raise Conflict(
                f"{model}: the plan has changed since it was looked at; look again, and roll back if need be"
            )
        return at.text

    message = f"Roll {model} back to release {stable.release[:12]}, as in {at.commit[:12]}"
    return PlanChange("rollback", model, stable, message, change)


def _wanted(stable: str, present: Plan, prefix: str) -> bool:
    return stable.startswith(prefix) if prefix else stable != present.stable.release


def _there(plan: Plan | None, model: str) -> Plan:
    if plan is None:
        raise Missing(f"{model}: this environment has no such model; release it first")
    return plan


def _canary(plan: Plan | None, model: str, prefix: str) -> Pointer:
    present = _there(plan, model)
    if present.canary is None:
        raise BadInput(f"{model}: canary", None, "there is none; a later release comes in as canary")
    if not present.canary.release.startswith(prefix):
        raise BadInput("--release", prefix, f"the canary is {present.canary.release}")
    return Pointer(release=present.canary.release, record=present.canary.record)
