"""Makes the registry's aliases say what Git says, after it is served and healthy: Git leads, the registry follows.

MLflow has no compare-and-set, so Git is the arbiter: main is asked again before each write and after the last one, and
where it has moved all is done anew. Whoever writes last has therefore seen after that write that main still says so;
two mirrors at once, or one that was killed, need no lock. Closed: what cannot be proved healthy moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import PurePosixPath
from typing import Literal

from nexus_release.aliases import (
    ROLES,
    Named,
    Role,
    Standing,
    alias_of,
    role_release,
    standing,
    surplus,
)
from nexus_release.config import settings_path
from nexus_release.documents import parse_yaml
from nexus_release.errors import BadInput, Conflict, Missing
from nexus_release.frozen import Frozen
from nexus_release.history import commit_of_revision, plans, plans_at, routes_folder
from nexus_release.names import model_slug, service_name
from nexus_release.plan import Plan
from nexus_release.ports import Health, History, Registry, Repository, TaggedVersion
from nexus_release.record import parse_record, record_path
from nexus_release.sought import RECORDS

_ROUNDS = 10  # of a main that moves under every one of them

Done = Literal["holds", "moved", "removed", "waits", "refused"]


class Mirrored(Standing):
    """What became of one alias."""

    done: Done
    because: str = ""
    """Why it waits or was refused."""


class Mirror(Frozen):
    environment: str
    commit: str
    """Of main, which every alias below was held against, and which main still was after the last write."""
    aliases: tuple[Mirrored, ...]

    def which(self, done: Done) -> list[Mirrored]:
        return [one for one in self.aliases if one.done == done]


class MainMoved(Exception):
    """What was read of main holds no longer."""


def mirror(repository: Repository, registry: Registry, health: Health, environment: str) -> Mirror:
    """Idempotent. Raises Unreachable where main, the registry or the gateway does not answer, Conflict where main
    moved in every round, BadInput for an unknown environment."""
    for _ in range(_ROUNDS):
        try:
            return _round(repository, registry, health, environment)
        except MainMoved:
            continue
    raise Conflict(f"main has moved {_ROUNDS} times while {environment} was mirrored; run it again")


def standings(history: History, registry: Registry, environment: str) -> list[Standing]:
    """Each alias of the environment, as Git and the registry have it now. Changes nothing. Raises Unreachable."""
    if history.file("HEAD", settings_path(environment)) is None:
        raise BadInput("environment", environment, f"main has no {settings_path(environment)}")
    slugs = {PurePosixPath(path).parent.name for path in history.paths("HEAD", RECORDS)}
    aliases = {model: there for model, there in registry.aliases().items() if model_slug(model) in slugs}
    named = list(_named(history, environment))
    wanted = {(one.model, one.role) for one in named}
    found = [_stands(history, registry, environment, one, aliases) for one in named]
    return found + surplus(environment, wanted, aliases)


def disagreements(found: Sequence[Standing]) -> list[str]:
    """One sentence for each alias that does not say what Git says, with the mend."""
    return [f"{one.model}: the registry's alias {one.alias}: {one.detail}" for one in found if one.state != "holds"]


def lines(found: Mirror) -> list[str]:
    """For people."""
    told = [f"main {found.commit[:12]}, {found.environment}: {len(found.aliases)} aliases"]
    for one in found.aliases:
        version = "nothing" if one.done == "removed" else f"version {one.version}"
        told.append(f"{one.done:8}  {one.model}@{one.alias}  {version}{f'  {one.because}' if one.because else ''}")
    return told


def _round(repository: Repository, registry: Registry, health: Health, environment: str) -> Mirror:
    with repository.history() as history:
        commit = _head(history, environment)
        judged = _Judged(history, health, environment)

        def unmoved() -> None:
            if repository.head() != commit:
                raise MainMoved

        done = tuple(_settle(registry, one, judged, unmoved) for one in standings(history, registry, environment))
        unmoved()
    return Mirror(environment=environment, commit=commit, aliases=done)


def _head(history: History, environment: str) -> str:
    log = history.commits()
    if not log:
        raise BadInput("environment", environment, "main has no commit")
    return log[0].hash


def _settle(registry: Registry, one: Standing, judged: _Judged, unmoved: Callable[[], None]) -> Mirrored:
    """An alias that points at what Git has never named goes even where its successor is not up: no name is better
    than a wrong one. One that is behind stays until then."""
    if one.state == "holds":
        _link(registry, one)
        return _told(one, "holds")
    if one.state in ("unregistered", "altered"):
        return _told(one, "refused", one.detail)
    if one.state == "surplus":
        unmoved()
        registry.drop_alias(one.model, one.alias)
        return _told(one, "removed")
    because = judged.missing(one.model, _role(one, judged.environment), one.release)
    if because and one.state == "ahead":
        unmoved()
        registry.drop_alias(one.model, one.alias)
        return _told(one, "removed", because)
    if because:
        return _told(one, "waits", because)
    assert one.version is not None  # noqa: S101 - narrows for mypy: only `unregistered` has none
    _link(registry, one)
    unmoved()
    registry.set_alias(one.model, one.alias, one.version)
    return _told(one, "moved")


def _link(registry: Registry, one: Standing) -> None:
    """So that whoever looks at a version in MLflow finds the commit. The record is on main, whatever main does next."""
    if one.version is not None and one.commit and one.linked != one.commit:
        registry.link(one.model, one.version, one.commit)


def _told(one: Standing, done: Done, because: str = "") -> Mirrored:
    return Mirrored(**one.model_dump(), done=done, because=because)


def _role(one: Standing, environment: str) -> Role:
    return next(role for role in ROLES if alias_of(environment, role) == one.alias)


class _Judged:
    """Whether what Git names is served and answers. The gateway is asked once, when it is first needed."""

    def __init__(self, history: History, health: Health, environment: str) -> None:
        self.environment = environment
        self._history, self._health = history, health
        self._served = cache(lambda: tuple(self._commits()))

    def missing(self, model: str, role: Role, release: str) -> str:
        """What is missing for the release to be healthy in this role; empty where nothing is."""
        if not self._served():
            return "no gateway says what it serves"
        for revision, commit in self._served():
            if commit is None:
                return f"the gateway serves revision {revision[:12]}, which is of no commit of main"
            plan = plans_at(self._history, self.environment, commit).get(model)
            if plan is None or role_release(plan, role) != release:
                return f"the gateway still serves commit {commit[:12]}, which does not name it"
            url = self._address(commit, model, release)
            if not self._health.answers(url, model):
                return f"its engine does not answer at {url}"
        return ""

    def _commits(self) -> Iterator[tuple[str, str | None]]:
        for revision in sorted(self._health.revisions()):
            found = commit_of_revision(self._history, self.environment, revision)
            yield revision, found.hash if found else None

    def _address(self, commit: str, model: str, release: str) -> str:
        """Raises Missing where the route was not rendered from the plan."""
        path = f"{routes_folder(self.environment)}/{model_slug(model)}.yaml"
        document = parse_yaml(self._history.file(commit, path) or b"", path)
        upstreams = document.get("upstreams", {}) if isinstance(document, dict) else {}
        name = service_name(model, release)
        if name not in upstreams:
            raise Missing(f"{path}: commit {commit[:12]} has no upstream {name}; that tree was not rendered")
        return str(upstreams[name].get("url") or upstreams[name]["service"])


def _named(history: History, environment: str) -> Iterator[Named]:
    for plan in plans_at(history, environment, "HEAD").values():
        for role in ROLES:
            if release := role_release(plan, role):
                yield _of(history, plan, role, release)


def _of(history: History, plan: Plan, role: Role, release: str) -> Named:
    """By the record, whose id and digest are proved on the way. Raises Missing or DigestMismatch."""
    path = record_path(plan.model, release)
    data = history.file("HEAD", path)
    if data is None:
        raise Missing(f"{path}: a plan names this release, and main has no record of it")
    pointer = next(pointer for pointer in plan.pointers if pointer.release == release)
    record = parse_record(data, path, release, pointer.record)
    brought = history.commits(path)
    return Named(
        model=plan.model,
        role=role,
        release=release,
        artifact=record.content.artifact.digest,
        commit=brought[-1].hash if brought else "",
    )


def _stands(
    history: History, registry: Registry, environment: str, named: Named, aliases: dict[str, dict[str, int]]
) -> Standing:
    version = registry.find(named.model, named.release)
    points_at = aliases.get(named.model, {}).get(alias_of(environment, named.role))
    wanted = registry.tagged(named.model, version.version) if version else None
    same = wanted is not None and wanted.version == points_at
    found = wanted if same else _pointed(registry, named.model, points_at)
    before = () if same or found is None else _before(history, environment, named)
    return standing(environment, named, wanted, found, before)


def _pointed(registry: Registry, model: str, version: int | None) -> TaggedVersion | None:
    return None if version is None else registry.tagged(model, version)


def _before(history: History, environment: str, named: Named) -> set[str]:
    return {role_release(at.plan, named.role) for at in plans(history, environment, named.model)}
