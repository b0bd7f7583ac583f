"""Waits until every replica of an environment's gateway serves what is waited for.

Nothing tells of a change: a gateway reads its mounted files by itself, and Argo CD knows what it has applied and not
what a process has read. So all are asked, ever less often. Ends early where waiting is of no use: a worker has refused
these very bytes, or main has moved on and they are not served (open for traffic; closed for whoever waits).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from nexus_release.config import settings_path
from nexus_release.convergence.routed import RoutedRelease, routed
from nexus_release.convergence.seen import Replica
from nexus_release.convergence.status import stale
from nexus_release.errors import BadInput, NexusError, Unreachable
from nexus_release.frozen import Frozen
from nexus_release.history import commits_of_revision, revision_at, routes_folder
from nexus_release.mirror import disagreements, standings
from nexus_release.ports import Health, History, Registry, Repository

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0  # seconds between two looks; half as long again each time

Ending = Literal["converged", "late", "refused", "overtaken"]


class Wanted(Frozen):
    """What is to be served."""

    revision: str
    commit: str
    """The newest of main that brought it."""
    releases: tuple[RoutedRelease, ...]
    main: str
    """Full hash of main when this was read."""
    overtaken: str = ""
    """Main's own revision, where that is another by now."""


class Waited(Frozen):
    """How the waiting ended."""

    ending: Ending
    revision: str
    commit: str = ""
    """The newest of main that brought it; empty where Git was not asked."""
    missing: tuple[str, ...] = ()
    """Who does not say what is waited for, a sentence each."""
    replicas: tuple[Replica, ...] = ()


@dataclass(frozen=True)
class Asked:
    """Whom to ask, and for how much."""

    gateway: Health
    registry: Registry | None = None
    """None asks for no alias."""
    engines: bool = False
    least: int = 1
    """Replicas that there must be."""


def wanted_of(history: History, environment: str, revision: str = "", commit: str = "") -> Wanted:
    """By the beginning of a revision or of a commit; main's own where neither is given. Raises BadInput."""
    if history.file("HEAD", settings_path(environment)) is None:
        raise BadInput("environment", environment, f"main has no {settings_path(environment)}")
    main = history.commits()[0].hash
    own = revision_at(history, environment, "HEAD")
    if revision:
        found, at = _revision(history, environment, revision)
    else:
        at = _commit(history, commit) if commit else main
        found = revision_at(history, environment, at)
    files = history.folder(at, routes_folder(environment))
    if not files:
        raise BadInput("environment", environment, f"commit {at[:12]} has no routes there; nothing would be served")
    releases = tuple(one for model in routed(files) for one in model.releases)
    overtaken = own if own != found else ""
    return Wanted(revision=found, commit=at, releases=releases, main=main, overtaken=overtaken)


def wait(
    repository: Repository,
    environment: str,
    asked: Asked,
    *,
    revision: str = "",
    commit: str = "",
    seconds: float,
    tell: Callable[[Sequence[str]], None],
    pause: Callable[[float], None] = time.sleep,
) -> Waited:
    """Where neither revision nor commit is given main is followed while it moves. `tell` gets what is missing whenever
    that changes. Raises BadInput; a remote that does not answer meanwhile is waited for too."""
    with repository.history() as history:
        wanted = wanted_of(history, environment, revision, commit)

    def look() -> Waited:
        nonlocal wanted
        with suppress(Unreachable):
            if repository.head() != wanted.main:
                with repository.history() as history:
                    wanted = wanted_of(history, environment, revision, commit)
        return _look(repository, environment, asked, wanted)

    return _poll(look, seconds, tell, pause)


def wait_served(
    gateway: Health,
    revision: str,
    *,
    seconds: float,
    tell: Callable[[Sequence[str]], None],
    pause: Callable[[float], None] = time.sleep,
) -> Waited:
    """The same without Git: until every replica serves exactly `revision`, or one refuses it."""

    def look() -> Waited:
        replicas = gateway.replicas()
        lacking = missing(replicas, revision, 1)
        refused = bool(lacking) and refuses(replicas, revision)
        ending: Ending = "refused" if refused else "late" if lacking else "converged"
        return Waited(ending=ending, revision=revision, missing=tuple(lacking), replicas=replicas)

    return _poll(look, seconds, tell, pause)


def lines(found: Waited) -> list[str]:
    """For people; the last line is the verdict."""
    what = f"revision {found.revision[:12]}" + (f" of commit {found.commit[:12]}" if found.commit else "")
    verdict = {
        "converged": f"{what} is served by all {len(found.replicas)} replicas",
        "late": f"{what} is not served by all, and the time is over",
        "refused": f"{what} is refused; mend the route on main, or roll it back",
        "overtaken": f"{what} is not what main says any more; wait for main's own, without --revision and --commit",
    }
    return [*found.missing, verdict[found.ending]]


def missing(replicas: Sequence[Replica], revision: str, least: int) -> list[str]:
    """Whoever does not serve `revision`, a sentence each."""
    found = [f"{one.address}: {one.problem}" for one in replicas if one.problem]
    for one in replicas:
        found += [
            f"{one.address}: worker {worker.pid} serves {worker.revision[:12] or 'nothing'}"
            + (f" and refuses it: {worker.reason}" if worker.refused == revision else "")
            for worker in stale(one, revision)
        ]
    if len(replicas) < least:
        found.append(f"{len(replicas)} replicas are there, {least} are waited for")
    return found


def refuses(replicas: Sequence[Replica], revision: str) -> bool:
    """Whether a worker has read these very bytes and will not have them: asking again does not help."""
    return any(worker.refused == revision for one in replicas for worker in stale(one, revision))


def _poll(
    look: Callable[[], Waited], seconds: float, tell: Callable[[Sequence[str]], None], pause: Callable[[float], None]
) -> Waited:
    deadline, step = time.monotonic() + seconds, _FIRST_PAUSE
    told: tuple[str, ...] = ()
    while True:
        found = look()
        if found.ending != "late":
            return found
        if found.missing != told:
            tell(found.missing)
            told = found.missing
        if (left := deadline - time.monotonic()) <= 0:
            return found
        pause(min(step, left))
        step = min(_LONGEST_PAUSE, step * 1.5)


def _look(repository: Repository, environment: str, asked: Asked, wanted: Wanted) -> Waited:
    replicas = asked.gateway.replicas()
    lacking = missing(replicas, wanted.revision, asked.least)
    ending: Ending = "late"
    if not lacking:
        lacking = [*_engines(asked, wanted), *_aliases(repository, environment, asked)]
        ending = "late" if lacking else "converged"
    elif refuses(replicas, wanted.revision):
        ending = "refused"
    elif wanted.overtaken:
        ending = "overtaken"
        lacking.append(f"main says revision {wanted.overtaken[:12]} by now")
    return Waited(
        ending=ending, revision=wanted.revision, commit=wanted.commit, missing=tuple(lacking), replicas=replicas
    )


def _engines(asked: Asked, wanted: Wanted) -> Iterator[str]:
    for one in wanted.releases if asked.engines else ():
        if not asked.gateway.answers(one.url, one.model):
            yield f"{one.service} does not answer at {one.url}"


def _aliases(repository: Repository, environment: str, asked: Asked) -> list[str]:
    if asked.registry is None:
        return []
    try:
        with repository.history() as history:
            return disagreements(standings(history, asked.registry, environment))
    except NexusError as error:
        return [f"the registry cannot be held against main: {error}"]


def _revision(history: History, environment: str, prefix: str) -> tuple[str, str]:
    """(whole revision, the newest commit that brought it)."""
    found = commits_of_revision(history, environment, prefix)
    if len(found) > 1:
        raise BadInput("--revision", prefix, f"it begins {len(found)} revisions; give more of it")
    for whole, commits in found.items():
        return whole, commits[0].hash
    raise BadInput("--revision", prefix, f"no commit of main gives {environment} such a revision; is it pushed?")


def _commit(history: History, prefix: str) -> str:
    found = [one.hash for one in history.commits() if one.hash.startswith(prefix)]
    if len(found) != 1:
        mend = f"it begins {len(found)} commits; give more of it" if found else "main has no such commit; is it merged?"
        raise BadInput("--commit", prefix, mend)
    return found[0]
