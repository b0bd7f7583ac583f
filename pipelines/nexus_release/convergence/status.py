"""What Git says of an environment, what was applied, what each replica serves, what the registry says, and where they
disagree. Nobody is believed for another: what cannot be asked is told, and never guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from pydantic import Field

from nexus_release import mirror
from nexus_release.aliases import Standing
from nexus_release.config import settings_path
from nexus_release.convergence.places import Places
from nexus_release.convergence.routed import RoutedRelease, routed
from nexus_release.convergence.seen import AppliedPart, Replica, Worker
from nexus_release.errors import BadInput, NexusError
from nexus_release.frozen import Frozen
from nexus_release.history import commit_of_revision, revision_at, routes_folder
from nexus_release.manifests.tree import tree_path
from nexus_release.ports import Health, History

T = TypeVar("T")


class SeenPart(AppliedPart):
    current: bool
    """Its folder, at the commit that was applied, is what it is on main."""


class SeenEngine(RoutedRelease):
    answers: bool
    """Healthy, and lists its model."""


class EnvironmentStatus(Frozen):
    environment: str
    main: str
    """Full hash of the commit of main that everything was held against."""
    commit: str
    """The newest of main that changed the environment's tree; empty where none has."""
    revision: str
    """Of main's routes; empty where it has none."""
    services: tuple[str, ...]
    """InferenceServices that main routes to."""
    applied: tuple[SeenPart, ...] = ()
    replicas: tuple[Replica, ...] = ()
    commits: Mapping[str, str] = Field(default_factory=dict)
    """Revision that a worker serves -> newest commit of main that brought it; empty where none did."""
    engines: tuple[SeenEngine, ...] = ()
    aliases: tuple[Standing, ...] = ()
    failed: tuple[str, ...] = ()
    """Who was asked and did not answer, and why."""
    unknown: tuple[str, ...] = ()
    """What nobody could be asked, and how to name whom to ask."""


def observe(history: History, environment: str, places: Places) -> EnvironmentStatus:
    """Raises BadInput for an environment that main does not have."""
    if history.file("HEAD", settings_path(environment)) is None:
        raise BadInput("environment", environment, f"main has no {settings_path(environment)}")
    failed: list[str] = []

    def asked(what: Callable[[], tuple[T, ...]]) -> tuple[T, ...]:
        try:
            return what()
        except NexusError as error:
            failed.append(str(error))
            return ()

    files = history.folder("HEAD", routes_folder(environment))
    releases = tuple(one for model in asked(lambda: routed(files)) for one in model.releases)
    applied, gateway, registry = places.applied, places.gateway, places.registry
    parts = asked(lambda: applied.parts(environment)) if applied else ()
    replicas = gateway.replicas() if gateway and files else ()
    return EnvironmentStatus(
        environment=environment,
        main=history.commits()[0].hash,
        commit=next((one.hash for one in history.commits(tree_path(environment))), ""),
        revision=revision_at(history, environment, "HEAD") if files else "",
        services=tuple(sorted(one.service for one in releases)),
        applied=tuple(_seen(history, part) for part in parts),
        replicas=replicas,
        commits=dict(_commits(history, environment, replicas)),
        engines=tuple(_engine(one, gateway) for one in releases) if gateway and places.engines else (),
        aliases=asked(lambda: tuple(mirror.standings(history, registry, environment))) if registry else (),
        failed=tuple(failed),
        unknown=tuple(_unknown(environment, places)),
    )


def disagreements(seen: EnvironmentStatus) -> list[str]:
    """One sentence each, with what to do; empty where all say the same."""
    found = [f"{seen.environment}: {sentence}" for sentence in (*seen.failed, *_of_parts(seen), *_of_replicas(seen))]
    found += [
        f"{seen.environment}: {one.service} does not answer at {one.url}; its log says why"
        for one in seen.engines
        if not one.answers
    ]
    return [*found, *mirror.disagreements(seen.aliases)]


def stale(replica: Replica, revision: str) -> list[Worker]:
    """The workers that serve something else."""
    return [worker for worker in replica.workers if worker.revision != revision]


def _of_parts(seen: EnvironmentStatus) -> Iterator[str]:
    for part in seen.applied:
        if not part.current:
            applied = part.commit[:12] or "nothing"
            yield f"main is at {seen.main[:12]}, {part.by} has applied {applied} of {part.folder}; {part.mend}"
        if part.problem:
            yield f"{part.by}: {part.problem}; {part.mend}"
    if not seen.applied:
        return
    runs = {service for part in seen.applied for service in part.services}
    for service in sorted({*seen.services} - runs):
        yield f"{service} is in Git and does not run; {_whose(seen, service).mend}"
    for service in sorted(runs - {*seen.services}):
        yield f"{service} runs and no route of main names it; {_whose(seen, service).mend}"


def _of_replicas(seen: EnvironmentStatus) -> Iterator[str]:
    for replica in seen.replicas:
        if replica.problem:
            yield f"the gateway at {replica.address}: {replica.problem}"
        for worker in stale(replica, seen.revision):
            yield f"the gateway at {replica.address}{_which(replica, worker)} serves {_served(seen, worker)}"


def _served(seen: EnvironmentStatus, worker: Worker) -> str:
    commit = seen.commits.get(worker.revision, "")
    of = f"of commit {commit[:12]}" if commit else "which is of no commit of main"
    told = f"revision {worker.revision[:12]} {of}, main has {seen.revision[:12] or 'no routes'}"
    if worker.refused and worker.refused == seen.revision:
        return f"{told}: it refuses main's: {worker.reason}; mend the route on main, or roll it back"
    return f"{told}; `nexus wait --env {seen.environment}` waits for it, and its log says what it has read"


def _which(replica: Replica, worker: Worker) -> str:
    return f" (worker {worker.pid})" if len(replica.workers) > 1 else ""


def _whose(seen: EnvironmentStatus, service: str) -> AppliedPart:
    return next((part for part in seen.applied if service in part.services), seen.applied[0])


def _unknown(environment: str, places: Places) -> Iterator[str]:
    if places.applied is None:
        yield f"{environment}: what was applied: no Argo CD is named; set ARGOCD_SERVER and ARGOCD_AUTH_TOKEN"
    if places.gateway is None:
        yield f"{environment}: what its gateway serves: none is named; set NEXUS_GATEWAY, or give --gateways FILE"
    if places.registry is None:
        yield f"{environment}: where the aliases point: no registry is named; set MLFLOW_TRACKING_URI"


def _seen(history: History, part: AppliedPart) -> SeenPart:
    """By the folder's files: Argo CD need not look at a commit that changes nothing of it."""
    current = bool(part.commit) and _files(history, part.commit, part.folder) == _files(history, "HEAD", part.folder)
    return SeenPart(**part.model_dump(), current=current)


def _files(history: History, commit: str, folder: str) -> dict[str, bytes | None]:
    return {path: history.file(commit, path) for path in history.paths(commit, folder)}


def _commits(history: History, environment: str, replicas: Sequence[Replica]) -> Iterator[tuple[str, str]]:
    for revision in sorted({worker.revision for one in replicas for worker in one.workers}):
        found = commit_of_revision(history, environment, revision)
        yield revision, found.hash if found else ""


def _engine(one: RoutedRelease, gateway: Health) -> SeenEngine:
    return SeenEngine(**one.model_dump(), answers=gateway.answers(one.url, one.model))
