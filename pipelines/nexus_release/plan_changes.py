"""A person's changes of a plan: canary, promote, rollback. Each is one commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nexus_release.config import load_settings
from nexus_release.errors import BadInput, Missing
from nexus_release.history import plans
from nexus_release.names import EnvironmentName
from nexus_release.plan import Plan, Pointer, plan_text, promoted, shifted
from nexus_release.ports import Landed, Repository
from nexus_release.proposals import Kind, branch_name, land_or_leave, plan_commit


@dataclass(frozen=True)
class PlanChange:
    """A change that can be shown before it is made."""

    kind: Kind
    model: str
    pointer: Pointer
    """The release that it is about."""
    message: str
    text: Callable[[Path, Plan | None], str]
    """The plan file that it gives, for a tree and its present plan."""


def canary(plan: Plan | None, model: str, weight: int, prefix: str = "") -> PlanChange:
    """`weight` percent to the canary. Raises Missing or BadInput."""
    pointer = _canary(plan, model, prefix)
    plan_text(shifted(_there(plan, model), pointer.release, weight))  # says now what a weight may be

    def text(_: Path, now: Plan | None) -> str:
        return plan_text(shifted(_there(now, model), pointer.release, weight))

    message = f"Give release {pointer.release[:12]} of {model} {weight} % of the traffic"
    return PlanChange("canary", model, pointer, message, text)


def promote(plan: Plan | None, model: str, environment: EnvironmentName, prefix: str = "") -> PlanChange:
    """The canary becomes stable. Raises Missing or BadInput."""
    pointer = _canary(plan, model, prefix)

    def text(root: Path, now: Plan | None) -> str:
        return plan_text(promoted(_there(now, model), pointer.release, load_settings(root, environment).retain))

    return PlanChange("promote", model, pointer, f"Promote release {pointer.release[:12]} of {model}", text)


def rollback(
    repository: Repository, plan: Plan | None, model: str, environment: EnvironmentName, prefix: str = ""
) -> PlanChange:
    """The plan file as it was at the newest commit in which another release (or the one named) was stable and no
    canary had weight, byte for byte. Raises Missing where history has none."""
    present = _there(plan, model)
    with repository.history() as history:
        for commit, earlier, file in plans(history, environment, model):
            stable = earlier.stable.release
            wanted = stable.startswith(prefix) if prefix else stable != present.stable.release
            if wanted and (earlier.canary is None or earlier.canary.weight == 0):
                message = f"Roll {model} back to release {stable[:12]}, as in {commit[:12]}"
                return PlanChange("rollback", model, earlier.stable, message, _exactly(file))
    sought = f"release {prefix} was" if prefix else "another release was"
    raise Missing(f"{model}: main holds no earlier plan in which {sought} stable without a canary at work")


def _exactly(file: str) -> Callable[[Path, Plan | None], str]:
    return lambda _root, _now: file


def make(repository: Repository, environment: EnvironmentName, change: PlanChange) -> Landed:
    """Commits the change; on a race it is made anew on the main of then."""
    trailers = {"Nexus-Release": change.pointer.release, "Nexus-Record": change.pointer.record}
    commit = plan_commit(change.kind, environment, change.model, change.message, trailers, change.text)
    branch = branch_name(change.kind, environment, change.model, change.pointer.release[:12])
    return land_or_leave(repository, environment, branch, [commit])


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
