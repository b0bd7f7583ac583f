"""From whatever a person has in hand to everything behind it, each link proved on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nexus_release import data_declaration
from nexus_release.documents import parse_yaml
from nexus_release.errors import Missing
from nexus_release.frozen import Frozen
from nexus_release.gates import told
from nexus_release.history import plans_at, revision_at, routes_folder
from nexus_release.manifests.gateway import shares
from nexus_release.names import model_slug, service_name
from nexus_release.plan import Plan, plan_path
from nexus_release.ports import History, Repository
from nexus_release.record import GateResult, Record, parse_record, record_path
from nexus_release.sought import Kind, Sought, find


class ExplainedRelease(Frozen):
    """One release of a plan; its id and its record's digest have been proved."""

    role: str
    """stable, canary or retained."""
    weight: int
    """Percent of the model's traffic, by the route file."""
    service: str
    release: str
    recorded_by: str
    """The commit that brought the record; empty where it is further back than the history is read."""
    record: Record


class ExplainedModel(Frozen):
    model: str
    route: str
    """The route file, under the repository's root."""
    releases: tuple[ExplainedRelease, ...]


class ExplainedCommit(Frozen):
    hash: str
    subject: str
    time: str


class Explanation(Frozen):
    asked: str
    found: Kind
    """What it was taken for."""
    environment: str
    revision: str
    """What the gateway serves at that commit."""
    commit: ExplainedCommit
    earlier: tuple[ExplainedCommit, ...]
    """Commits that brought the same revision before, newest first."""
    models: tuple[ExplainedModel, ...]


def explain(repository: Repository, what: str, environment: str) -> Explanation:
    """Raises Missing where nothing is found, saying what was searched; BadInput for the beginning of several things;
    DigestMismatch where a link of the chain does not hold."""
    with repository.history() as history:
        sought = find(history, environment, what)
        commit = sought.commit.hash
        plans = plans_at(history, environment, commit)
        return Explanation(
            asked=what,
            found=sought.kind,
            environment=environment,
            revision=revision_at(history, environment, commit),
            commit=ExplainedCommit(hash=commit, subject=sought.commit.subject, time=sought.commit.time),
            earlier=tuple(ExplainedCommit(hash=one.hash, subject=one.subject, time=one.time) for one in sought.earlier),
            models=tuple(
                _model(history, environment, commit, plan, sought.release)
                for plan in _chosen(history, environment, sought, plans)
            ),
        )


def _chosen(history: History, environment: str, sought: Sought, plans: Mapping[str, Plan]) -> list[Plan]:
    """The plans to show: of the one model that is meant; of those that a commit changed; else all."""
    if sought.model:
        if sought.model not in plans:
            raise Missing(f"{sought.name}: {environment} has no plan of {sought.model} at {sought.commit.hash}")
        return [plans[sought.model]]
    if sought.kind == "commit":
        changed = [plan for plan in plans.values() if _changed(history, environment, plan, sought.commit.hash)]
        return changed or list(plans.values())
    return list(plans.values())


def _changed(history: History, environment: str, plan: Plan, commit: str) -> bool:
    return any(logged.hash == commit for logged in history.commits(plan_path(environment, plan.model)))


def _model(history: History, environment: str, commit: str, plan: Plan, only: str) -> ExplainedModel:
    route = f"{routes_folder(environment)}/{model_slug(plan.model)}.yaml"
    data = history.file(commit, route)
    if data is None:
        raise Missing(f"{route}: the plan has no route at {commit}; that tree was not rendered")
    weights = shares(parse_yaml(data, route))  # type: ignore[arg-type]  # rendered by our own code, and checked when it landed
    return ExplainedModel(
        model=plan.model,
        route=route,
        releases=tuple(_releases(history, plan, weights, only)),
    )


def _releases(history: History, plan: Plan, weights: Mapping[str, int], only: str) -> Iterator[ExplainedRelease]:
    """With the records that main has now: they are append-only, so a commit of any age is told by these bytes."""
    canary = plan.canary.release if plan.canary else ""
    for pointer in plan.pointers:
        if only and pointer.release != only:
            continue
        path = record_path(plan.model, pointer.release)
        data = history.file("HEAD", path)
        if data is None:
            raise Missing(f"{path}: a plan names this release, and main has no record of it")
        brought = history.commits(path)
        service = service_name(plan.model, pointer.release)
        roles = {plan.stable.release: "stable", canary: "canary"}
        yield ExplainedRelease(
            role=roles.get(pointer.release, "retained"),
            weight=weights.get(service, 0),
            service=service,
            release=pointer.release,
            recorded_by=brought[-1].hash if brought else "",
            record=parse_record(data, path, pointer.release, pointer.record),
        )


def lines(found: Explanation) -> list[str]:
    """The explanation for people, answer first."""
    told = [
        f"{found.found} {found.asked}: {_answer(found)}",
        f"revision  {found.revision}",
        f"commit    {found.commit.hash}  {found.commit.subject}, {found.commit.time}",
        *(f"  earlier   {one.hash}  {one.subject}, {one.time}" for one in found.earlier),
    ]
    for model in found.models:
        told.append(f"route     {model.route}")
        for release in model.releases:
            told += _release_lines(release)
    return told


def _answer(found: Explanation) -> str:
    """Who answers."""
    return (
        "; ".join(
            f"in {found.environment} {model.model} is "
            + ", ".join(f"{one.release[:12]} ({one.role}, {one.weight} %)" for one in model.releases)
            for model in found.models
        )
        or f"{found.environment} serves no model then"
    )


def _release_lines(found: ExplainedRelease) -> list[str]:
    content, observed = found.record.content, found.record.observed
    evaluation, recipe = content.evaluation, content.recipe
    return [
        f"release   {found.release}  {found.role}, {found.weight} % of the traffic, as {found.service}",
        f"  record    by commit {found.recorded_by[:12]}; its id and its file's digest hold",
        f"  registry  {observed.registry_uri}, LoggedModel {observed.logged_model}, run {observed.run}",
        f"  artifact  {content.artifact.digest}, {content.artifact.bytes} bytes in {content.artifact.files} files",
        *(told for result in content.gates for told in _gate_lines(result)),
        f"            on {evaluation.tokens} tokens of {evaluation.rows} rows by {evaluation.engine}, "
        f"{evaluation.compute_type} against {evaluation.base_compute_type}",
        f"  recipe    {', '.join(f'{name}={value}' for name, value in sorted(recipe.items()))}",
        f"  base      {content.base_source}, {content.base}",
        f"  dataset   {content.dataset.digest}, {content.dataset.rows} rows, contract {content.dataset.contract}",
        *(f"            {what}: {how}" for what, how in data_declaration.told(content.dataset.declaration)),
        f"  code      {content.code.steps}"
        + (", from a working tree that was not committed" if observed.dirty else ""),
    ]


def _gate_lines(result: GateResult) -> Iterator[str]:
    said = "accepted" if result.accepted else "refused"
    yield f"  {result.gate:<9} {said}: {result.reason}; evidence {result.evidence}"
    for figure in result.figures:
        yield f"            {told(figure)}{'' if figure.passed else ', failed'}"
