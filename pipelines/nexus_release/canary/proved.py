"""Whether a proposal that brings evidence does what the evidence says, and nothing else.

What a check cannot know is whether the figures are true: who may commit here could make them up. So a credential for
this may be given to who reads the gateways, and it can do no more than move this model's canary along the declared
steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from nexus_release.canary.evidence import (
    EVIDENCE,
    Evidence,
    after_decision,
    bounds_of,
    chain,
    decided_again,
    evidence_folder,
    parse_evidence,
    read_evidence,
    seen_before,
)
from nexus_release.config import load_settings
from nexus_release.monitoring.windows import moment
from nexus_release.plan import Plan, plan_path, plan_text, read_plan
from nexus_release.proposals import own_paths


def step_faults(before: Path, after: Path, environment: str, changed: Sequence[str]) -> Iterator[str]:
    """Of a proposal that adds evidence. Raises NexusError for what cannot be read."""
    added = [path for path in changed if path.startswith(EVIDENCE)]
    for path in added:
        if (before / path).exists() or not (after / path).is_file():
            yield f"{path}: evidence is append-only"
            return
    if len(added) != 1:
        yield f"{', '.join(added)}: a step has one file of evidence"
        return
    evidence = parse_evidence((after / added[0]).read_bytes(), added[0])
    if not added[0].startswith(f"{EVIDENCE}{environment}/"):
        yield f"{added[0]}: a step of {environment} has its evidence in {EVIDENCE}{environment}/"
        return
    if not _in_its_place(evidence, environment, added[0]):
        yield f"{added[0]}: it is evidence of {evidence.model} in {evidence.environment}, and lies elsewhere"
        return
    yield from _strays(evidence, changed, added[0])
    yield from _untrue(before, evidence, added[0])
    yield from _not_followed(before, after, evidence)


def _in_its_place(evidence: Evidence, environment: str, path: str) -> bool:
    return evidence.environment == environment and path.startswith(f"{evidence_folder(environment, evidence.model)}/")


def _strays(evidence: Evidence, changed: Sequence[str], own: str) -> Iterator[str]:
    meant = own_paths(evidence.environment, evidence.model)
    for path in changed:
        if path != own and not any(path == name or (name.endswith("/") and path.startswith(name)) for name in meant):
            yield f"{path}: a step of {evidence.model} changes its plan, its manifests and one file of evidence"


def _untrue(before: Path, evidence: Evidence, path: str) -> Iterator[str]:
    """Where the file does not follow from what it says it has seen, from main before it and from its own figures."""
    plan = read_plan(before, evidence.environment, evidence.model)
    canary = plan.canary if plan else None
    if plan is None or canary is None:
        yield f"{path}: {evidence.model} has no canary in {evidence.environment}"
        return
    if (evidence.stable, evidence.canary, evidence.weight) != (plan.stable.release, canary.release, canary.weight):
        yield f"{path}: it is of another stable release, canary or weight than main's"
    if evidence.bounds != bounds_of(load_settings(before, evidence.environment).canary):
        yield f"{path}: bounds: not the `canary` of {evidence.environment}'s settings"
    links = chain(read_evidence(before, evidence.environment, evidence.model), evidence.stable, evidence.canary)
    if evidence.previous != (links[-1][0] if links else None):
        yield f"{path}: previous: not the last evidence of this canary"
    if evidence.weight == 0 and links:
        yield f"{path}: this canary has gone back to 0; a person gives it a weight"
    yield from _out_of_time(evidence, path, links[-1][1].moments.until if links else "")
    if decided_again(evidence, seen_before(links)) != (evidence.tests, evidence.decision):
        yield f"{path}: its figures and bounds give another decision than it tells"


def _out_of_time(evidence: Evidence, path: str, earliest: str) -> Iterator[str]:
    """Blocks one after the other, none of which an earlier file has told, and none to come."""
    windows = [one.window for one in evidence.blocks]
    between = [edge for one in windows for edge in (one.since, one.until)]
    edges = [evidence.moments.since, *between, evidence.moments.until]
    times = [moment(edge) for edge in edges]
    if times != sorted(times) or evidence.moments.since < evidence.moments.began:
        yield f"{path}: its blocks do not follow each other from when the weight was set to when it was looked at"
    if evidence.moments.since < earliest:
        yield f"{path}: it counts from before the last evidence on"


def _not_followed(before: Path, after: Path, evidence: Evidence) -> Iterator[str]:
    environment, model = evidence.environment, evidence.model
    plan = read_plan(before, environment, model)
    if plan is None or plan.canary is None or plan.canary.release != evidence.canary:
        return  # told already
    wanted = _wanted(plan, evidence, load_settings(before, environment).retain)
    if (after / plan_path(environment, model)).read_text(encoding="utf-8") != wanted:
        yield f"{plan_path(environment, model)}: not what the evidence decides: {evidence.decision.action}"


def _wanted(plan: Plan, evidence: Evidence, retain: int) -> str:
    return plan_text(after_decision(plan, evidence, retain))
