"""Whether the gateway, the registry and the gateway's Redis answer, and whether the gateway serves what Git says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nexus_release.convergence.seen import Worker
from nexus_release.doctor.asking import Pages, Services, shown
from nexus_release.doctor.finding import Finding, fail, ok, warn
from nexus_release.history import commit_of_revision, revision_at
from nexus_release.ports import Health, History, Repository


def gateway(pages: Pages, addresses: Sequence[str], log: str) -> Iterator[Finding]:
    """`log` says where it writes."""
    for address in addresses:
        at = shown(address)
        alive, ready = pages.get(address, "/health"), pages.get(address, "/ready")
        if alive.status != 200:
            yield fail("gateway", f"{at}/health: {alive.told}", f"start it, or look why it ended: {log}")
        elif ready.status != 200:
            yield fail("gateway", f"{at} lives and is not ready: {ready.told}", f"look why: {log}")
        else:
            yield ok("gateway", f"{at} lives and is ready")


def revision(health: Health, repository: Repository, environment: str) -> Iterator[Finding]:
    """What each worker of each replica serves by /admin/config, held against main."""
    with repository.history() as history:
        main = revision_at(history, environment, "HEAD")
        for replica in health.replicas():
            if replica.problem:
                mend = "give a key of scope admin by NEXUS_GATEWAY_KEY; `nexus status` tells more"
                yield fail("revision", f"{replica.address}: {replica.problem}", mend)
            for worker in replica.workers:
                yield _served(history, environment, replica.address, worker, main)


def _served(history: History, environment: str, address: str, worker: Worker, main: str) -> Finding:
    at = f"{address}, worker {worker.pid}"
    if worker.revision == main:
        return ok("revision", f"{at}: {main[:12]}, as main of {environment} says")
    commit = commit_of_revision(history, environment, worker.revision)
    of = f"of commit {commit.hash[:12]}" if commit else "of no commit of main"
    said = f"{at} serves {worker.revision[:12]} {of}, and main has {main[:12]}"
    if worker.refused == main:
        return fail(
            "revision", f"{said}: it has refused it: {worker.reason}", "mend the route on main, or roll it back"
        )
    return fail("revision", said, f"`nexus wait --env {environment}` waits for it; `nexus status` says who lags")


def registry(pages: Pages, url: str, headers: Mapping[str, str]) -> Iterator[Finding]:
    page, version = pages.get(url, "/health"), pages.get(url, "/version", headers)
    if page.status != 200:
        mend = "start it (`nexus up` does on a laptop), or look at MLFLOW_TRACKING_URI"
        yield fail("MLflow", f"{shown(url)}/health: {page.told}", mend)
        return
    asked = pages.get(url, "/api/2.0/mlflow/registered-models/search?max_results=1", headers)
    if asked.status != 200:
        mend = "give MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN, of somebody who may read models"
        yield fail("MLflow", f"{shown(url)} lives and lists no models: {asked.told}", mend)
    else:
        shown_version = version.text.strip() if version.status == 200 else "(not said)"
        yield ok("MLflow", f"{shown(url)} answers, version {shown_version}")


def limits(services: Services, url: str) -> Iterator[Finding]:
    """The gateway's Redis. Without it limits are each replica's own, and no request fails."""
    told, at = services.redis(url), shown(url)
    used, most = int(told.get("used_memory", 0)), int(told.get("maxmemory", 0))
    if str(told.get("role")) not in ("master", "sentinel"):
        yield fail("Redis", f"{at} follows another and takes nothing", "name its group's leader, or its sentinels")
    elif most and used >= most:
        mend = "give it more memory: everything in it ends by itself, limits in a minute and idempotency in a day"
        yield fail("Redis", f"{at} is full: {used} of {most} bytes", mend)
    elif not most:
        mend = "set maxmemory, so that it says so before the machine kills it"
        yield warn("Redis", f"{at} answers, version {told.get('redis_version')}, and nothing bounds its memory", mend)
    else:
        yield ok("Redis", f"{at} answers, version {told.get('redis_version')}, {used} of {most} bytes")
