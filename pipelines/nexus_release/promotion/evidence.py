"""Collects from two trees what the text of a pull request follows from."""

from __future__ import annotations

from pathlib import Path

from nexus_release.canary.evidence import evidence_folder
from nexus_release.evidence.pull_request import Asked
from nexus_release.manifests.changes import changed_paths
from nexus_release.manifests.diff import tree_diff
from nexus_release.manifests.tree import Inputs, load_inputs
from nexus_release.plan import Pointer, read_plan
from nexus_release.promotion.chain import below
from nexus_release.promotion.impact import Impact, impact
from nexus_release.record import Content, read_record


def asked_of(before: Path, after: Path, environment: str, model: str, pointer: Pointer, message: str) -> Asked:
    """`before` and `after` hold whole trees. Raises BadInput, Missing or DigestMismatch for what they cannot be."""
    old, new = load_inputs(before, environment), load_inputs(after, environment)
    return Asked(
        message=message,
        model=model,
        environment=environment,
        release=read_record(after, model, pointer.release, pointer.record).content,
        stable=_stable(old, model),
        gates=old.settings.gates,
        passed=_passed(before, old, model, pointer),
        impact=impact(old, new, model),
        canary_evidence=_measured(after, environment, model, pointer.release),
        diff=tree_diff(before, after, environment, changed_paths(before, after)),
    )


def impact_of(before: Path, after: Path, environment: str, model: str) -> Impact:
    return impact(load_inputs(before, environment), load_inputs(after, environment), model)


def _stable(inputs: Inputs, model: str) -> Content | None:
    plan = inputs.plans.get(model)
    return inputs.records[plan.stable.release].content if plan else None


def _passed(main: Path, inputs: Inputs, model: str, pointer: Pointer) -> str:
    own = inputs.plans.get(model)
    if own and pointer in own.pointers:
        return f"it runs in {inputs.environment} already"
    chain = below(main, inputs.environment)
    plan = read_plan(main, chain[0], model) if chain else None
    if not chain:
        return "releases begin here"
    return f"it is {'' if plan and plan.stable == pointer else 'not '}stable in {chain[0]}"


def _measured(root: Path, environment: str, model: str, release: str) -> tuple[str, ...]:
    folder = root / evidence_folder(environment, model)
    found = (path for path in sorted(folder.glob("*.json")) if release in path.read_text(encoding="utf-8"))
    return tuple(path.relative_to(root).as_posix() for path in found)
