"""Walks from whatever a person has in hand to everything behind it: `explain` is the way, `Explanation` what is found."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from nexus_release.documents import parse_yaml
from nexus_release.errors import BadInput, Missing
from nexus_release.frozen import Frozen
from nexus_release.history import commits_of_revision, revision_at
from nexus_release.manifests.gateway import shares
from nexus_release.names import service_name
from nexus_release.plan import Plan, read_plans
from nexus_release.ports import History, LoggedCommit, Repository
from nexus_release.record import Record, read_record, record_path

_SHORTEST = 8  # characters of a prefix; below that a person cannot have meant one thing


class ExplainedRelease(Frozen):
    """One release of the plan at that commit; its id and its record's digest have been proved."""

    role: str
    """stable, canary or retained."""
    weight: int
    """Percent of the traffic."""
    service: str
    release: str
    admitted: str
    """The commit that brought the record."""
    record: Record


class Explanation(Frozen):
    asked: str
    found: str
    """What it was taken for."""
    environment: str
    model: str
    commit: str
    subject: str
    time: str
    revision: str
    """What the gateway serves at that commit."""
    releases: tuple[ExplainedRelease, ...]


def explain(repository: Repository, what: str, environment: str) -> Explanation:
    """Raises Missing where nothing is found, saying what was searched; BadInput for a prefix of two things;
    DigestMismatch where a link of the chain does not hold."""
    with repository.history() as history:
        logged, found, model, release = _find(history, repository, what, environment)
        with tempfile.TemporaryDirectory(prefix="nexus-explain-") as folder:
            root = Path(folder)
            repository.checkout(root, logged.hash)
            plan = _plan(root, environment, model, release, what)
            return Explanation(
                asked=what,
                found=found,
                environment=environment,
                model=plan.model,
                commit=logged.hash,
                subject=logged.subject,
                time=logged.time,
                revision=revision_at(history, environment, logged.hash),
                releases=_releases(history, root, environment, plan, release),
            )


def _find(history: History, repository: Repository, what: str, environment: str) -> tuple[LoggedCommit, str, str, str]:
    """(commit, kind, model or empty, release or empty). The newest commit that fits counts."""
    everything = history.commits()
    if re.fullmatch(rf"[0-9a-f]{{{_SHORTEST},64}}", what):
        by_revision = commits_of_revision(history, environment, what)
        releases = {entry.trailers.get("Nexus-Release", "") for entry in everything}
        meant = sorted({revision for _, revision in by_revision} | {r for r in releases if r.startswith(what)})
        commits = [entry for entry in everything if entry.hash.startswith(what)]
        if len(meant) + len(commits) > 1:
            raise BadInput("WHAT", what, f"it is the beginning of {', '.join([*meant, *(c.hash for c in commits)])}")
        if by_revision:
            return by_revision[0][0], "revision", "", ""
        if meant:
            named = (entry for entry in everything if entry.trailers.get("Nexus-Release") == meant[0])
            newest = next(entry for entry in named if entry.trailers.get("Nexus-Environment") == environment)
            return newest, "release", newest.trailers.get("Nexus-Model", ""), meant[0]
        if commits:
            return commits[0], "commit", commits[0].trailers.get("Nexus-Model", ""), ""
    for entry in everything:
        model, release = entry.trailers.get("Nexus-Model", ""), entry.trailers.get("Nexus-Release", "")
        if model and model == what:
            return everything[0], "model", model, ""
        if model and release and service_name(model, release) == what:
            return everything[0], "InferenceService", model, release
    raise Missing(
        f"{what}: no revision, release, commit, model or InferenceService of {environment} in the "
        f"{len(everything)} commits of main"
    )


def _plan(root: Path, environment: str, model: str, release: str, what: str) -> Plan:
    plans = read_plans(root, environment)
    if model and model in plans:
        return plans[model]
    if not model and len(plans) == 1:
        return next(iter(plans.values()))
    if not model and plans:
        raise BadInput("WHAT", what, f"that commit serves {', '.join(plans)}; name one of them, or a release")
    raise Missing(f"{what}: {environment} has no plan for {model or 'any model'} at that commit")


def _releases(history: History, root: Path, environment: str, plan: Plan, only: str) -> tuple[ExplainedRelease, ...]:
    route = root / f"gitops/{environment}/gateway/routes.d" / f"{_slug(plan)}.yaml"
    weights = shares(parse_yaml(route.read_bytes(), route.name))  # type: ignore[arg-type]  # rendered by our own code and checked when it landed
    roles = {plan.stable.release: "stable", **{kept.release: "retained" for kept in plan.retained}}
    if plan.canary:
        roles[plan.canary.release] = "canary"
    found = []
    for pointer in plan.pointers:
        if only and pointer.release != only:
            continue
        service = service_name(plan.model, pointer.release)
        brought = history.commits(record_path(plan.model, pointer.release))
        found.append(
            ExplainedRelease(
                role=roles[pointer.release],
                weight=weights.get(service, 0),
                service=service,
                release=pointer.release,
                admitted=brought[-1].hash if brought else "",
                record=read_record(root, plan.model, pointer.release, pointer.record),
            )
        )
    return tuple(found)


def _slug(plan: Plan) -> str:
    from nexus_release.names import model_slug

    return model_slug(plan.model)


def lines(found: Explanation) -> list[str]:
    """The explanation for people, answer first."""
    told = [
        f"{found.found} {found.asked[:12]}: {found.model} in {found.environment}",
        f"commit    {found.commit[:12]}  {found.subject}  ({found.time})",
        f"revision  {found.revision[:12]}",
    ]
    for one in found.releases:
        content, observed = one.record.content, one.record.observed
        told += [
            f"release   {one.release[:12]}  {one.role}, {one.weight} % of the traffic, as {one.service}",
            f"  record    admitted by commit {one.admitted[:12]}; id and digest hold",
            f"  registry  {observed.registry_uri}, run {observed.run}",
            f"  artifact  {content.artifact.digest[:19]}, {content.artifact.bytes} bytes, {content.artifact.files} files",
            *(
                f"  quality   {m.name} {m.candidate} against {m.base}: {m.difference} ({m.low} to {m.high}), bound {m.bound}"
                for m in content.evaluation.metrics
            ),
            f"  recipe    {content.recipe.get('quantize.scheme', '')} of {content.base_source}, {content.recipe.get('train.steps', '')} training steps",
            f"  dataset   {content.dataset.digest[:19]}, {content.dataset.rows} rows, contract {content.dataset.contract[:19]}",
            f"  code      {content.code.steps[:19]}" + (" (working tree not committed)" if observed.dirty else ""),
        ]
    return told
