"""What main's history says: which plans there were, and which commit gave which revision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from nexus_release.errors import Missing, NexusError
from nexus_release.manifests.gateway import ROUTES_FOLDER
from nexus_release.manifests.tree import tree_path
from nexus_release.plan import Plan, parse_plan, plan_path
from nexus_release.ports import History, LoggedCommit, Repository
from nexus_release.revisions import routes_revision


@dataclass(frozen=True)
class PlanAt:
    """A model's plan as a commit left it."""

    commit: str
    plan: Plan
    text: str
    """The file."""

    @property
    def canary_at_work(self) -> bool:
        return self.plan.canary is not None and self.plan.canary.weight > 0


def plans(history: History, environment: str, model: str) -> Iterator[PlanAt]:
    """One for each commit that changed the model's plan, newest first."""
    path = plan_path(environment, model)
    for logged in history.commits(path):
        data = history.file(logged.hash, path)
        if data is None:
            continue  # the model was withdrawn there
        try:
            yield PlanAt(logged.hash, parse_plan(data, path), data.decode())
        except NexusError:
            continue  # a plan of another schema is no place to go back to


def stable_since(repository: Repository, environment: str, model: str) -> tuple[str, str]:
    """(release, when its commit made it stable, as committed). Raises Missing where main has no plan of the model."""
    path = plan_path(environment, model)
    with repository.history() as history:
        now = history.file("HEAD", path)
        if now is None:
            raise Missing(f"{path}: main has no such plan; release {model} to {environment} first")
        stable, since = parse_plan(now, path).stable, ""
        for logged in history.commits(path):
            data = history.file(logged.hash, path)
            if data is None or parse_plan(data, path).stable != stable:
                break
            since = logged.time
    return stable.release, since


@dataclass(frozen=True)
class WeightSince:
    """Since when a canary has had its weight."""

    commit: str
    time: str
    """When that was committed; so is `began`."""
    began: str
    """When it first had one, without a 0 between; empty where it never has."""
    ever: bool
    """Whether it has had one at all."""


def weight_since(history: History, environment: str, model: str, plan: Plan) -> WeightSince:
    """Of the canary of the plan that main has. Raises Missing where it has none."""
    if plan.canary is None:
        raise Missing(f"{model}: {environment} has no canary; a later release comes in as one")
    weight, path = plan.canary.weight, plan_path(environment, model)
    then = [(logged, _weight_at(history, logged.hash, path, plan)) for logged in history.commits(path)]
    since = [(logged, of_then) for logged, of_then in takewhile(lambda pair: pair[1] is not None, then)]
    same = [logged for logged, _ in takewhile(lambda pair: pair[1] == weight, since)]
    weighted = [logged for logged, _ in takewhile(lambda pair: pair[1] != 0, since)]
    began = weighted[-1].time if weighted else ""
    return WeightSince(same[-1].hash, same[-1].time, began, ever=any(of_then for _, of_then in since))


def _weight_at(history: History, commit: str, path: str, plan: Plan) -> int | None:
    """None where other releases took part then."""
    data = history.file(commit, path)
    try:
        then = parse_plan(data, path) if data is not None else None
    except NexusError:
        return None  # a plan of another schema
    if then is None or then.canary is None or plan.canary is None:
        return None
    same = (then.stable.release, then.canary.release) == (plan.stable.release, plan.canary.release)
    return then.canary.weight if same else None


def plans_at(history: History, environment: str, commit: str) -> dict[str, Plan]:
    """Every plan of the environment by model, sorted, as `commit` has them. Raises BadInput."""
    folder = f"environments/{environment}/models"
    files = history.folder(commit, folder)
    found = [parse_plan(data, f"{folder}/{name}") for name, data in files.items() if name.endswith(".yaml")]
    return {plan.model: plan for plan in sorted(found, key=lambda plan: plan.model)}


def routes_folder(environment: str) -> str:
    return f"{tree_path(environment)}/gateway/{ROUTES_FOLDER}"


def revision_at(history: History, environment: str, commit: str) -> str:
    """What the gateway serves once it has followed `commit`."""
    files = history.folder(commit, routes_folder(environment))
    return routes_revision({name: data for name, data in files.items() if name.endswith(".yaml")})


def commit_of_revision(history: History, environment: str, revision: str) -> LoggedCommit | None:
    """The newest that brought it."""
    brought = history.commits(routes_folder(environment))
    return next((logged for logged in brought if revision_at(history, environment, logged.hash) == revision), None)


def commits_of_revision(history: History, environment: str, prefix: str) -> dict[str, list[LoggedCommit]]:
    """Whole revision -> the commits that brought it, newest first, for each revision that starts with `prefix`.

    A rollback brings an earlier revision again.
    """
    found: dict[str, list[LoggedCommit]] = {}
    for logged in history.commits(routes_folder(environment)):
        revision = revision_at(history, environment, logged.hash)
        if revision.startswith(prefix):
            found.setdefault(revision, []).append(logged)
    return found
